// SPDX-License-Identifier: Apache-2.0
// Archives of importance matrices of the older form: they come back, and their tensors are what
// the headers between them say.
#include <gtest/gtest.h>

#include <algorithm>

#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/container/imatrix_file.h"
#include "unit/store/edited_index.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using format::Index;

constexpr size_t kEntries = 40;

ImatrixFile Matrix() {
  ImatrixFile file;
  for (size_t i = 0; i < kEntries; ++i) {
    std::vector<float> values(256);
    for (size_t c = 0; c < values.size(); ++c) values[c] = static_cast<float>(c * 7919 % 97 + i);
    file.Add("blk." + std::to_string(10 + i) + ".w", i == 3 ? 5 : 17, values);
  }
  return file.End(17, "text.txt");
}

class ImatrixArchive : public ::testing::Test {
 protected:
  Archive Packed(const std::string& bytes, std::string_view container) {
    WriteFile(dir_ / "in/m.dat", bytes);
    Archive archive = PackAndOpen({{"v", dir_ / "in"}}, dir_ / "m.qstore");
    EXPECT_EQ(archive.file(0).container, container);
    const auto verified = Verify(archive, {});
    EXPECT_TRUE(verified.ok()) << verified.status().ToString();
    EXPECT_TRUE(Unpacked(archive, "v")["m.dat"] == bytes);
    return archive;
  }

  // What is wrong is found before any tensor is handed out, and by whoever calls the file intact.
  void ExpectWrong(const std::function<void(Index*)>& edit, const std::string& rule) {
    Packed(Matrix().Bytes(), "imatrix");
    WriteFile(dir_ / "bad.qstore", WithIndex(ReadFile(dir_ / "m.qstore"), edit));
    const auto archive = Archive::Open(dir_ / "bad.qstore");
    ASSERT_TRUE(archive.ok()) << archive.status().ToString();
    std::vector<std::byte> out(archive->tensor(0).byte_size);
    for (const Status& status : {archive->ReadTensor(0, out, 1), Verify(*archive, {}).status()}) {
      EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << status.ToString();
      EXPECT_NE(status.message().find(rule), std::string::npos) << status.ToString();
    }
  }

  TempDir dir_;
};

TEST_F(ImatrixArchive, ComesBackAndHasItsTensors) {
  const Archive archive = Packed(Matrix().Bytes(), "imatrix");
  EXPECT_EQ(archive.variant(0).tensor_count, 2 * kEntries);
  const size_t calls = *archive.FindTensor(0, "blk.13.w.calls");
  EXPECT_EQ(archive.tensor(calls).dtype, DType::kI32);
  std::byte number[4];
  ASSERT_TRUE(archive.ReadTensor(calls, number, 1).ok());
  EXPECT_EQ(number[0], std::byte{5});
  const size_t values = *archive.FindTensor(0, "blk.49.w.values");
  std::vector<float> read(256);
  ASSERT_TRUE(archive.ReadTensor(values, std::as_writable_bytes(std::span(read)), 1).ok());
  EXPECT_EQ(read[0], 39.0f);
  EXPECT_EQ(read[1], 7919 % 97 + 39.0f);
}

// Headers of entries are objects, but numbers of calls and of values are the same few.
TEST_F(ImatrixArchive, NumbersThatEntriesHaveInCommonAreStoredOnce) {
  const Archive archive = Packed(Matrix().Bytes(), "imatrix");
  const Index& index = archive.impl().index();
  EXPECT_EQ(index.parts.size(), 4 * kEntries + 1);
  EXPECT_EQ(index.objects.size(), 2 * kEntries + 2 + 1 + 1);
}

TEST_F(ImatrixArchive, WhatIsNoMatrixIsBytes) {
  Packed("numbers of some other program", "");
  Packed(Matrix().Bytes() + "behind", "");
  Packed("", "");
}

TEST_F(ImatrixArchive, AllHeadersCountForALoad) {
  const Archive archive = Packed(Matrix().Bytes(), "imatrix");
  EXPECT_EQ(archive.SizesOf(0)->load_bytes, fs::file_size(dir_ / "m.qstore"));
}

TEST_F(ImatrixArchive, OtherNameShapeOrPlaceIsRefused) {
  ExpectWrong([](Index* index) { index->tensors[0].name = "blk.10.w.calld"; },
              "'blk.10.w.calls' is in the header of the file, but not in the index");
  ExpectWrong([](Index* index) { std::swap(index->tensors[0].part, index->tensors[2].part); },
              "another place");
  ExpectWrong([](Index* index) { index->tensors[0].dtype = DType::kF32; }, "another dtype");
  // A header in the middle is exchanged for that of another entry.
  ExpectWrong(
      [](Index* index) {
        const uint32_t begin = index->files[0].parts.begin;
        std::swap(index->parts[begin + 8], index->parts[begin + 12]);
      },
      "");
}

}  // namespace
}  // namespace qstore
