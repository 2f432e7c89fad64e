// SPDX-License-Identifier: Apache-2.0
// Variants added to archives and dropped from them.
#include <gtest/gtest.h>

#include "unit/store/changed_archive.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Change = ChangedArchive;

TEST_F(Change, AnAddedCopyFollowsFromWhatIsThere) {
  PackAll({"high"});
  const uint64_t before = fs::file_size(archive());
  const AddReport report = AddAll({"low"});
  EXPECT_EQ(report.source_bytes, 5000u + fs::file_size(dir_ / "low/model.safetensors") +
                                     fs::file_size(dir_ / "low/config.json"));
  EXPECT_EQ(report.stored_bytes, fs::file_size(archive()));
  EXPECT_LT(report.added_bytes, report.stored_bytes - before);
  // The codes are what rounding gives.
  EXPECT_LT(report.added_bytes, report.source_bytes / 20);
  const Archive archive = Opened();
  ExpectHas(archive, {"high", "low"});
  EXPECT_TRUE(HasScheme(archive, 1, "a.weight"));
  EXPECT_FALSE(HasScheme(archive, 0, "a.weight"));
}

TEST_F(Change, AnAddedOriginalFollowsFromItsCopy) {
  PackAll({"high"});
  const uint64_t alone = fs::file_size(archive());
  PackAll({"low"});
  const AddReport report = AddAll({"high"});
  EXPECT_LT(report.added_bytes, alone * 3 / 4);
  ExpectHas(Opened(), {"low", "high"});
}

TEST_F(Change, ManyAreAddedAtOnceOrOneAfterTheOther) {
  PackAll({"other"});
  AddAll({"high", "low"});
  // As in a new archive the quantized one comes first.
  ExpectHas(Opened(), {"other", "low", "high"});
  DropAll({"low", "high"});
  AddAll({"high"});
  AddAll({"low"});
  ExpectHas(Opened(), {"other", "high", "low"});
}

TEST_F(Change, ContentThatIsThereIsNotStoredAgain) {
  PackAll({"high", "low"});
  fs::copy(dir_ / "high", dir_ / "same", fs::copy_options::recursive);
  WriteFile(dir_ / "same/more.txt", "more");
  const AddReport report = AddAll({"same"});
  EXPECT_LE(report.added_bytes, 8u);
  ExpectHas(Opened(), {"low", "high", "same"});
}

// Tensors of equal content under other names, one of which the archive has.
TEST_F(Change, TiedTensorsAreStoredOnce) {
  PackAll({"other"});
  const auto content = RandomBytes(1'000'000, 7);
  WriteSafetensors(dir_ / "tied/model.safetensors",
                   {{"head.weight", DType::kBF16, {500, 1000}, content},
                    {"x.weight", DType::kBF16, {500, 1000}, content}});
  EXPECT_LT(AddAll({"tied"}).added_bytes, 1000u);
  ExpectHas(Opened(), {"other", "tied"});
}

TEST_F(Change, AddReadsParentsAndNothingElse) {
  PackAll({"high", "other"});
  const Archive before = Opened();
  const uint64_t high = before.SizesOf(*before.FindVariant("high"))->own_bytes;
  const uint64_t other = before.SizesOf(*before.FindVariant("other"))->own_bytes;
  ASSERT_GT(other, 900'000u);
  const AddReport report = AddAll({"low"});
  EXPECT_GT(report.read_bytes, high / 2);
  // Samples, and then all of it.
  EXPECT_LT(report.read_bytes, 2 * high + 100'000);
}

TEST_F(Change, ADirectVariantLoadsFromItsOwnBytes) {
  PackAll({"high", "low"});
  fs::copy(dir_ / "high", dir_ / "direct", fs::copy_options::recursive);
  AddOptions options;
  options.direct = {"direct"};
  AddAll({"direct"}, options);
  const Archive archive = Opened();
  ExpectHas(archive, {"low", "high", "direct"});
  EXPECT_TRUE(HasScheme(archive, 1, "a.weight"));
  EXPECT_FALSE(HasScheme(archive, 2, "a.weight"));
}

TEST_F(Change, ParentsMayBeChosen) {
  PackAll({"high", "other"});
  AddOptions options;
  options.parents = {{"low", "other"}};
  AddAll({"low"}, options);
  EXPECT_FALSE(HasScheme(Opened(), 2, "a.weight"));
  options.parents = {{"other", "high"}};
  fs::copy(dir_ / "low", dir_ / "low2", fs::copy_options::recursive);
  EXPECT_EQ(TryAdd({"low2"}, options).status().code(), ErrorCode::kInvalidArgument);
  options.parents = {{"low2", "nobody"}};
  EXPECT_EQ(TryAdd({"low2"}, options).status().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Change, EveryLevelAndNumberOfThreadsComesBack) {
  for (const Level level : {Level::kFast, Level::kBalanced, Level::kMax}) {
    PackAll({"high"});
    const std::string before = ReadFile(archive());
    AddOptions options;
    options.level = level;
    options.threads = 1;
    AddAll({"low", "other"}, options);
    ExpectHas(Opened(), {"high", "low", "other"});
    const std::string one = ReadFile(archive());
    WriteFile(archive(), before);
    options.threads = 3;
    AddAll({"low", "other"}, options);
    EXPECT_EQ(ReadFile(archive()), one);
  }
}

// The chunks of level max are longer than those of other levels.
TEST_F(Change, TheLevelNeedNotBeThatOfTheArchive) {
  for (const Level packed : {Level::kFast, Level::kBalanced, Level::kMax}) {
    for (const Level added : {Level::kFast, Level::kBalanced, Level::kMax}) {
      PackOptions pack_options;
      pack_options.level = packed;
      PackAll({"high"}, pack_options);
      AddOptions options;
      options.level = added;
      const AddReport report = AddAll({"low"}, options);
      EXPECT_LT(report.added_bytes, report.source_bytes / 20)
          << static_cast<int>(packed) << " " << static_cast<int>(added);
      EXPECT_TRUE(Verify(Opened(), Sources({"high", "low"})).ok());
    }
  }
}

TEST_F(Change, Sha256IsKept) {
  PackOptions options;
  options.sha256 = true;
  PackAll({"high"}, options);
  AddAll({"low"});
  DropAll({"high"});
  const Archive archive = Opened();
  ExpectHas(archive, {"low"});
  for (size_t f = 0; f < archive.variant(0).file_count; ++f) {
    EXPECT_TRUE(archive.file(f).sha256.has_value());
  }
}

TEST_F(Change, ADroppedVariantLeavesWhatOthersNeed) {
  PackAll({"high", "low", "other"});
  const Archive before = Opened();
  ASSERT_TRUE(HasScheme(before, *before.FindVariant("high"), "a.weight"));
  const DropReport report = DropAll({"low", "other"});
  const Archive archive = Opened();
  ExpectHas(archive, {"high"});
  EXPECT_EQ(report.stored_bytes, archive.stored_bytes());
  EXPECT_EQ(report.dead_bytes, archive.dead_bytes());
  EXPECT_GT(report.dead_bytes, 900'000u);
  EXPECT_LT(report.dead_bytes, 1'010'000u);
  EXPECT_TRUE(HasScheme(archive, 0, "a.weight"));
  // And what was left is found again.
  EXPECT_LT(AddAll({"low"}).added_bytes, 1000u);
  ExpectHas(Opened(), {"high", "low"});
}

TEST_F(Change, DamageOfParentsThatNoFileHasIsFound) {
  PackAll({"high", "low"});
  DropAll({"low"});
  const std::string good = ReadFile(archive());
  const Archive opened = Opened();
  const auto& index = opened.impl().index();
  std::vector<bool> is_of_file(index.objects.size());
  for (const uint32_t id : index.parts) is_of_file[id] = true;
  size_t damaged = 0;
  for (size_t id = 0; id < is_of_file.size(); ++id) {
    if (is_of_file[id] || index.objects[id].chunk_count == 0) continue;
    std::string bad = good;
    bad[index.chunks[index.objects[id].first_chunk].offset] ^= 1;
    WriteFile(archive(), bad);
    EXPECT_EQ(Verify(Opened()).status().code(), ErrorCode::kCorrupt);
    ++damaged;
  }
  EXPECT_GE(damaged, 2u);
}

TEST_F(Change, ReadersGoOnWithWhatTheyOpened) {
  PackAll({"high", "low"});
  const Archive first = Opened();
  AddAll({"other"});
  const Archive second = Opened();
  DropAll({"low", "high"});
  const Archive third = Opened();
  CompactTo({});
  ExpectHas(first, {"low", "high"});
  ExpectHas(second, {"low", "high", "other"});
  ExpectHas(third, {"other"});
  ExpectHas(Opened(), {"other"});
}

}  // namespace
}  // namespace qstore
