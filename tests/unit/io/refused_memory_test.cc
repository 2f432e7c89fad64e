// SPDX-License-Identifier: Apache-2.0
// Outputs appear as a whole or not at all also where there is no memory, and nothing is left
// behind.
#include "unit/refused_memory.h"

#include <gtest/gtest.h>

#include <map>

#include "io/file.h"
#include "io/json_value.h"
#include "io/output_file.h"
#include "io/output_tree.h"
#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class OutOfMemory : public ::testing::Test {
 protected:
  // Every name and what it holds.
  std::map<std::string, std::string> Everything() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path())) {
      const std::string name = fs::relative(entry.path(), dir_.path()).string();
      found[name] = entry.is_directory() ? "/" : ReadFile(entry.path());
    }
    return found;
  }
  void Clear() {
    for (const auto& entry : fs::directory_iterator(dir_.path())) fs::remove_all(entry);
  }

  TempDir dir_;
};

// Refuses memory to `act` where `prepare` has put files; it is done as it is without, or not begun.
void CheckAllOrNothing(const auto& prepare, const auto& act, const auto& everything) {
  prepare();
  const auto before = everything();
  ASSERT_TRUE(act());
  const auto after = everything();
  ASSERT_NE(before, after);
  prepare();
  RefuseEach(act, [&](bool done) {
    EXPECT_EQ(everything(), done ? after : before);
    prepare();
  });
}

TEST_F(OutOfMemory, AFileAppearsOrNot) {
  const fs::path path = dir_ / "new/deep/file-whose-name-is-long";
  CheckAllOrNothing([&] { Clear(); },
                    [&] {
                      const auto file = OutputFile::Create(path, {});
                      if (!file.ok() || !(*file)->Append(Bytes("text")).ok()) return false;
                      return (*file)->Commit().ok();
                    },
                    [&] { return Everything(); });
}

TEST_F(OutOfMemory, AFileIsReplacedOrNot) {
  const fs::path path = dir_ / "file-whose-name-is-long";
  CheckAllOrNothing([&] { WriteFile(path, "old"); },
                    [&] {
                      const auto file = OutputFile::Create(path, {.overwrite = true});
                      if (!file.ok() || !(*file)->Append(Bytes("text")).ok()) return false;
                      return (*file)->Commit().ok();
                    },
                    [&] { return Everything(); });
}

// Of new files at names of different kinds, replaced ones, and removed ones.
bool MakeTree(const fs::path& path) {
  auto tree = OutputTree::Create(path, {.overwrite = true});
  if (!tree.ok()) return false;
  for (const char* name : {"a", "folder-whose-name-is-long/below/it", "sub/file-of-a-long-name"}) {
    const auto file = tree->Add(name);
    if (!file.ok() || !(*file)->Append(Bytes("new")).ok()) return false;
  }
  tree->AddDirectory("empty-folder-of-a-long-name/empty");
  tree->Remove("sub/removed-file-of-a-long-name");
  return tree->Commit().ok();
}

TEST_F(OutOfMemory, ANewTreeAppearsOrNot) {
  const fs::path path = dir_ / "folder-that-is-new/tree-of-a-long-name";
  CheckAllOrNothing([&] { Clear(); }, [&] { return MakeTree(path); }, [&] { return Everything(); });
}

TEST_F(OutOfMemory, ATreeIsReplacedOrNot) {
  const auto prepare = [&] {
    Clear();
    WriteFile(dir_ / "tree/a", "old a");
    WriteFile(dir_ / "tree/mine", "mine");
    WriteFile(dir_ / "tree/sub/file-of-a-long-name", "old b");
    WriteFile(dir_ / "tree/sub/removed-file-of-a-long-name", "old c");
  };
  const fs::path path = dir_ / "tree";
  CheckAllOrNothing(
      prepare, [&] { return MakeTree(path); }, [&] { return Everything(); });
}

TEST_F(OutOfMemory, FilesAreOpenedOrNot) {
  WriteFile(dir_ / "file-whose-name-is-long", "text");
  const fs::path path = dir_ / "file-whose-name-is-long";
  for (const auto open : {SourceFile::Open, SourceFile::OpenOnDemand}) {
    RefuseEach([&] { return open(path).ok(); }, [](bool) {});
  }
}

TEST_F(OutOfMemory, AJsonValueIsDestroyed) {
  const std::string text =
      R"({"a": [1, {"b": ["a text that is not short", {"c": [[[]]]}]}], "d": 1})";
  RefuseEach([&] { return JsonValue::Parse(text).ok(); }, [](bool) {});
  auto value = JsonValue::Parse(text);
  ASSERT_TRUE(value.ok());
  const RefusedMemory refused(0, /*stays=*/true);
  *value = JsonValue();
  EXPECT_FALSE(RefusedMemory::struck());
}

}  // namespace
}  // namespace qstore::io
