// SPDX-License-Identifier: Apache-2.0
// Changes that fail, and what others do meanwhile.
#include <gtest/gtest.h>

#include "io/growing_file.h"
#include "unit/store/changed_archive.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using ChangeFailure = ChangedArchive;

TEST_F(ChangeFailure, WhatIsRefusedLeavesTheArchive) {
  PackAll({"high", "low"});
  const auto refused = [&](const Status& status, ErrorCode code, std::string_view mentions) {
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(mentions), std::string::npos) << status.ToString();
  };
  const std::string before = ReadFile(archive());
  refused(TryAdd({"high"}).status(), ErrorCode::kAlreadyExists, "'high'");
  refused(TryAdd({"none"}).status(), ErrorCode::kNotFound, "none");
  refused(TryAdd({}).status(), ErrorCode::kInvalidArgument, "no variant");
  refused(Add(archive(), std::vector<VariantSource>{{"a/b", dir_ / "other"}}).status(),
          ErrorCode::kInvalidArgument, "a/b");
  refused(Add(archive(), std::vector<VariantSource>{{"self", archive()}}).status(),
          ErrorCode::kInvalidArgument, "m.qstore");
  refused(TryDrop({"none"}), ErrorCode::kNotFound, "'none'");
  refused(TryDrop({}), ErrorCode::kInvalidArgument, "no variant");
  refused(TryDrop({"low", "high"}), ErrorCode::kInvalidArgument, "no variant would be left");
  EXPECT_EQ(ReadFile(archive()), before);
  for (const char* name : {"nowhere.qstore", "other", "high/config.json"}) {
    const fs::path path = dir_ / name;
    EXPECT_FALSE(Add(path, Sources({"other"})).ok());
    EXPECT_FALSE(Drop(path, std::vector<std::string>{"high"}).ok());
    EXPECT_FALSE(Compact(path).ok());
  }
  EXPECT_EQ(ReadFile(dir_ / "high/config.json"), "{\"of\": \"high\"}");
}

TEST_F(ChangeFailure, ADamagedArchiveIsNotChanged) {
  PackAll({"high"});
  const std::string good = ReadFile(archive());
  const Archive opened = Opened();
  const auto& index = opened.impl().index();
  const uint32_t weight = index.parts[index.tensors[*opened.FindTensor(0, "a.weight")].part];
  const uint64_t payload = index.chunks[index.objects[weight].first_chunk].offset;
  for (const uint64_t at : {uint64_t{3}, payload + 10, good.size() - 100, good.size() - 1}) {
    std::string bad = good;
    bad[at] ^= 4;
    WriteFile(archive(), bad);
    EXPECT_EQ(TryAdd({"low"}).status().code(), ErrorCode::kCorrupt) << at;
    EXPECT_EQ(ReadFile(archive()), bad);
  }
}

TEST_F(ChangeFailure, ACancelledAddLeavesTheArchive) {
  for (const bool has_roots : {false, true}) {
    PackAll({"high", "other"});
    if (has_roots) DropAll({"other"});
    const std::string before = ReadFile(archive());
    for (const int calls : {0, 1, 5, 12}) {
      AddOptions options;
      options.threads = 1;
      int left = calls;
      options.progress = [&](const Progress&) { return left-- > 0; };
      EXPECT_EQ(TryAdd({"low"}, options).status().code(), ErrorCode::kCancelled);
      EXPECT_EQ(ReadFile(archive()), before) << calls;
    }
    AddOptions options;
    bool has_begun = false;
    options.progress = [&](const Progress& progress) {
      has_begun = progress.done_bytes > 0;
      return !has_begun;
    };
    EXPECT_EQ(TryAdd({"low"}, options).status().code(), ErrorCode::kCancelled);
    EXPECT_TRUE(has_begun);
    EXPECT_EQ(ReadFile(archive()), before);
  }
}

TEST_F(ChangeFailure, WhatAKilledWriterLeftIsOverwritten) {
  PackAll({"high", "other"});
  DropAll({"other"});
  WriteFile(archive(), ReadFile(archive()) + std::string(3'000'000, 'g'));
  ExpectHas(Opened(), {"high"});
  const AddReport report = AddAll({"low"});
  EXPECT_EQ(fs::file_size(archive()), report.stored_bytes);
  ExpectHas(Opened(), {"high", "low"});
}

TEST_F(ChangeFailure, OneWriterAtATime) {
  PackAll({"high"});
  auto held = io::GrowingFile::Open(archive());
  ASSERT_TRUE(held.ok());
  const std::string before = ReadFile(archive());
  EXPECT_EQ(TryAdd({"low"}).status().code(), ErrorCode::kIo);
  EXPECT_EQ(TryDrop({"high"}).code(), ErrorCode::kIo);
  EXPECT_EQ(Compact(archive()).status().code(), ErrorCode::kIo);
  EXPECT_EQ(ReadFile(archive()), before);
  held->reset();
  EXPECT_TRUE(TryAdd({"low"}).ok());
}

}  // namespace
}  // namespace qstore
