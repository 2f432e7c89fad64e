// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "qstore/change.h"
#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

class Compacting : public ::testing::Test {
 protected:
  Compacting() {
    WritePair(dir_ / "high", dir_ / "low");
    WriteSafetensors(dir_ / "other/model.safetensors",
                     {{"x.weight", DType::kBF16, {500, 1000}, RandomBytes(1'000'000, 7)}});
  }
  std::vector<VariantSource> Sources(const std::vector<const char*>& names) const {
    std::vector<VariantSource> sources;
    for (const char* name : names) sources.push_back({name, dir_ / name});
    return sources;
  }
  // An archive of these, without those dropped.
  void Make(const std::vector<const char*>& names, const std::vector<std::string>& dropped) {
    PackAndOpen(Sources(names), archive_);
    const auto report = Drop(archive_, dropped, {false});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
  }
  static CompactOptions Quick(const fs::path& output = {}) {
    CompactOptions options;
    options.output = output;
    options.sync = false;
    return options;
  }

  TempDir dir_;
  fs::path archive_ = dir_ / "m.qstore";
};

TEST_F(Compacting, LeavesWhatPackWouldHaveMade) {
  PackAndOpen(Sources({"high", "low"}), dir_ / "fresh.qstore");
  Make({"high", "low", "other"}, {"other"});
  const uint64_t before = fs::file_size(archive_);
  const auto report = Compact(archive_, Quick());
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->before_bytes, before);
  EXPECT_EQ(report->stored_bytes, fs::file_size(archive_));
  EXPECT_EQ(ReadFile(archive_), ReadFile(dir_ / "fresh.qstore"));
  // There is nothing left to do.
  const auto inode = fs::last_write_time(archive_);
  ASSERT_TRUE(Compact(archive_, Quick()).ok());
  EXPECT_EQ(fs::last_write_time(archive_), inode);
}

TEST_F(Compacting, KeepsParentsThatNoFileHas) {
  Make({"high", "low", "other"}, {"low", "other"});
  ASSERT_TRUE(Compact(archive_, Quick()).ok());
  const auto archive = Archive::Open(archive_);
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  EXPECT_EQ(archive->dead_bytes(), 0u);
  EXPECT_FALSE(archive->impl().header().has_root());
  EXPECT_TRUE(Verify(*archive, Sources({"high"})).ok());
  EXPECT_EQ(Unpacked(*archive, "high"), ReadTree(dir_ / "high"));
  // It can be changed again.
  ASSERT_TRUE(Add(archive_, Sources({"low"})).ok());
  const auto again = Archive::Open(archive_);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(Verify(*again, Sources({"high", "low"})).ok());
}

TEST_F(Compacting, ToAnotherFileLeavesTheArchive) {
  Make({"high", "other"}, {"other"});
  const std::string before = ReadFile(archive_);
  const auto report = Compact(archive_, Quick(dir_ / "new/deep.qstore"));
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(ReadFile(archive_), before);
  const auto archive = Archive::Open(dir_ / "new/deep.qstore");
  ASSERT_TRUE(archive.ok());
  EXPECT_TRUE(Verify(*archive, Sources({"high"})).ok());
  EXPECT_EQ(Compact(archive_, Quick(dir_ / "new/deep.qstore")).status().code(),
            ErrorCode::kAlreadyExists);
  EXPECT_EQ(Compact(archive_, Quick(dir_ / "new/../m.qstore")).status().code(),
            ErrorCode::kInvalidArgument);
  CompactOptions forced = Quick(dir_ / "new/deep.qstore");
  forced.overwrite = true;
  EXPECT_TRUE(Compact(archive_, forced).ok());
}

TEST_F(Compacting, KeepsPermissionsAndLinks) {
  Make({"high", "other"}, {"other"});
  fs::permissions(archive_, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("m.qstore", dir_ / "link");
  ASSERT_TRUE(Compact(dir_ / "link", Quick()).ok());
  EXPECT_TRUE(fs::is_symlink(dir_ / "link"));
  EXPECT_EQ(fs::status(archive_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(Archive::Open(archive_)->dead_bytes(), 0u);
}

TEST_F(Compacting, DamageIsNotCopied) {
  Make({"high", "other"}, {"other"});
  std::string bad = ReadFile(archive_);
  const auto opened = Archive::Open(archive_);
  const auto& index = opened->impl().index();
  const uint32_t weight = index.parts[index.tensors[*opened->FindTensor(0, "b.weight")].part];
  bad[index.chunks[index.objects[weight].first_chunk].offset] ^= 8;
  WriteFile(archive_, bad);
  const Status status = Compact(archive_, Quick()).status();
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_NE(status.message().find("'b.weight'"), std::string::npos) << status.ToString();
  EXPECT_EQ(ReadFile(archive_), bad);
}

TEST_F(Compacting, StopsOnRequest) {
  Make({"high", "other"}, {"high"});
  const std::string before = ReadFile(archive_);
  CompactOptions options = Quick();
  options.progress = [](const Progress& progress) {
    EXPECT_LE(progress.done_bytes, progress.total_bytes);
    return false;
  };
  EXPECT_EQ(Compact(archive_, options).status().code(), ErrorCode::kCancelled);
  EXPECT_EQ(ReadFile(archive_), before);
  EXPECT_EQ(EntryCount(dir_.path()), 4u);
}

}  // namespace
}  // namespace qstore
