// SPDX-License-Identifier: Apache-2.0
#include "mount/file_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "unit/store/model_files.h"

namespace qstore::mount {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

// Paths of all files and directories below a node, and the files' numbers.
void Collect(const FileTree& tree, uint64_t number, const std::string& path,
             std::map<std::string, std::optional<size_t>>* found) {
  for (const uint64_t child : tree.children(number)) {
    ASSERT_TRUE(tree.Contains(child));
    EXPECT_EQ(tree.node(child).parent, number);
    EXPECT_EQ(tree.Find(number, tree.node(child).name), child);
    const std::string below = path + "/" + std::string(tree.node(child).name);
    EXPECT_TRUE(found->emplace(below, tree.node(child).file).second) << below;
    Collect(tree, child, below, found);
  }
}

class Tree : public ::testing::Test {
 protected:
  // A variant of files of these paths; those that end with a slash are directories.
  void Write(const std::string& variant, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (path.back() == '/') {
        fs::create_directories(dir_ / variant / path);
      } else {
        WriteFile(dir_ / variant / path, variant + path);
      }
    }
    variants_.push_back({variant, dir_ / variant});
  }
  Archive Pack() { return PackAndOpen(variants_, dir_ / "m.qstore"); }

  TempDir dir_;
  std::vector<VariantSource> variants_;
};

TEST_F(Tree, HasEveryFileAtItsPath) {
  // Names that are in another order than paths, and names that begin others.
  const std::vector<std::string> one = {"config.json", "a/b/c/d.txt", "a/b/c.txt", "a/b-c/x",
                                        "a-b/x",       "a.txt",       "empty/",    "z/none/",
                                        "z/nonesuch",  "ab/c"};
  Write("one", one);
  Write("another", {"config.json", "a/b"});
  const Archive archive = Pack();
  const FileTree tree(archive);
  std::map<std::string, std::optional<size_t>> found;
  Collect(tree, FileTree::kRoot, "", &found);
  EXPECT_EQ(found.size() + 1, tree.node_count());
  size_t files = 0;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
      const FileInfo info = archive.file(f);
      const auto at = found.find("/" + std::string(variant.name) + "/" + std::string(info.path));
      ASSERT_NE(at, found.end()) << info.path;
      EXPECT_EQ(at->second, info.is_directory ? std::nullopt : std::optional<size_t>(f));
      ++files;
    }
  }
  EXPECT_EQ(files, one.size() + 2);
  for (const char* directory : {"/one/a", "/one/a/b", "/one/a/b/c", "/one/a/b-c", "/one/z"}) {
    ASSERT_TRUE(found.contains(directory)) << directory;
    EXPECT_FALSE(found.at(directory)) << directory;
  }
  EXPECT_EQ(tree.left_out(), 0u);
}

TEST_F(Tree, FindsNothingElse) {
  Write("one", {"a/b", "c"});
  const Archive archive = Pack();
  const FileTree tree(archive);
  const uint64_t one = *tree.Find(FileTree::kRoot, "one");
  EXPECT_FALSE(tree.Find(FileTree::kRoot, "on"));
  EXPECT_FALSE(tree.Find(FileTree::kRoot, "one/a"));
  EXPECT_FALSE(tree.Find(one, "b"));
  EXPECT_FALSE(tree.Find(one, ""));
  EXPECT_FALSE(tree.Find(*tree.Find(one, "c"), "c")) << "a file has nothing in it";
  EXPECT_TRUE(tree.children(*tree.Find(one, "c")).empty());
  EXPECT_FALSE(tree.Contains(0));
  EXPECT_FALSE(tree.Contains(tree.node_count() + 1));
  EXPECT_TRUE(tree.Contains(tree.node_count()));
}

TEST_F(Tree, NumbersAreTheSameEachTime) {
  Write("one", {"a/b", "c", "d/e/f"});
  Write("two", {"a/b"});
  const Archive archive = Pack();
  const FileTree tree(archive);
  const Archive other = Pack();
  const FileTree again(other);
  ASSERT_EQ(tree.node_count(), again.node_count());
  for (uint64_t n = 1; n <= tree.node_count(); ++n) {
    EXPECT_EQ(tree.node(n).name, again.node(n).name);
    EXPECT_EQ(tree.node(n).parent, again.node(n).parent);
  }
}

}  // namespace
}  // namespace qstore::mount
