// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>

#include "registry/gptq.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;

TEST(Gptq, ZeroPointsHaveThreeMeanings) {
  GptqTensor tensor;
  tensor.shape = {32, 8, 1, 4};
  Bytes zeros;
  testing::AppendLe<uint32_t>(0xf7000f7f, &zeros);
  tensor.zeros = zeros;
  const auto read = [&](GptqZeros meaning) {
    std::vector<uint8_t> out(8);
    ReadZeros(tensor, meaning, 0, 0, 8, out.data());
    return out;
  };
  EXPECT_EQ(read(GptqZeros::kPlain), (std::vector<uint8_t>{15, 7, 15, 0, 0, 0, 7, 15}));
  EXPECT_EQ(read(GptqZeros::kLessOne), (std::vector<uint8_t>{0, 8, 0, 1, 1, 1, 8, 0}));
  // 0xf7000f7f + 0x11111111: carries go to the next field.
  EXPECT_EQ(read(GptqZeros::kWordsLessOne), (std::vector<uint8_t>{0, 9, 0, 2, 1, 1, 8, 0}));
}

TEST(Gptq, ZeroPointsAreTheSameInWholeWordsAndCarryWhereTheyDiffer) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const unsigned bits = std::array{2u, 3u, 4u, 8u}[round % 4];
    GptqTensor tensor;
    tensor.shape = {32, 64, 2, bits};
    Bytes zeros;
    // Few bits set, so that some words have no full field.
    for (unsigned w = 0; w < 2 * 64 * bits / 32; ++w) {
      uint32_t word = static_cast<uint32_t>(random());
      for (int k = round % 5; k > 0; --k) word &= static_cast<uint32_t>(random());
      testing::AppendLe(word, &zeros);
    }
    tensor.zeros = zeros;
    const auto read = [&](unsigned meaning, size_t first, size_t count) {
      std::vector<uint8_t> out(count);
      ReadZeros(tensor, static_cast<GptqZeros>(meaning), 1, first, count, out.data());
      return out;
    };
    for (unsigned meaning = 0; IsGptqZeros(meaning, bits); ++meaning) {
      const auto all = read(meaning, 0, 64);
      for (size_t i = 0; i < 64; ++i) ASSERT_EQ(read(meaning, i, 1)[0], all[i]);
    }
    if (bits == 3) {
      EXPECT_FALSE(ZerosCarry(tensor, 1));
    } else if (read(1, 0, 64) != read(2, 0, 64)) {
      EXPECT_TRUE(ZerosCarry(tensor, 1));
    }
  }
  GptqTensor tensor;
  tensor.shape = {32, 8, 1, 4};
  Bytes zeros;
  testing::AppendLe<uint32_t>(0xe7000e7e, &zeros);
  tensor.zeros = zeros;
  EXPECT_FALSE(ZerosCarry(tensor, 0));
}

TEST(Gptq, OddScalesCountAsZero) {
  GptqTensor tensor;
  tensor.shape = {32, 8, 1, 4};
  tensor.scales_dtype = DType::kF32;
  Bytes scales;
  for (const float scale :
       {1.5f, -2.0f, 0x1p-100f, 0x1p-101f, 0.0f, std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN(), 3e38f}) {
    testing::AppendLe(scale, &scales);
  }
  tensor.scales = scales;
  std::vector<float> out(8);
  ReadScales(tensor, 0, 0, 8, out.data());
  EXPECT_EQ(out, (std::vector<float>{1.5f, -2.0f, 0x1p-100f, 0, 0, 0, 0, 3e38f}));
}

TEST(Gptq, GroupsMayBeNegativeButMustExist) {
  GptqTensor tensor;
  tensor.shape = {4, 8, 2, 8};
  std::vector<uint32_t> group_of;
  ASSERT_TRUE(ReadGroups(tensor, &group_of).ok());
  EXPECT_EQ(group_of, (std::vector<uint32_t>{0, 0, 1, 1}));
  const auto with = [&](int32_t last) {
    Bytes groups;
    for (const int32_t group : {1, 0, -1, last}) testing::AppendLe(group, &groups);
    tensor.groups = groups;
    return ReadGroups(tensor, &group_of);
  };
  ASSERT_TRUE(with(-2).ok());
  EXPECT_EQ(group_of, (std::vector<uint32_t>{1, 0, 1, 0}));
  EXPECT_EQ(with(2).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(with(-3).code(), ErrorCode::kCorrupt);
}

TEST(Gptq, ShapesFollowFromSizes) {
  const auto shape = GptqShapeOf(64, 64 * 12 * 4, 64 * 4, 64 * 4 * 3 / 8);
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->bits, 3u);
  EXPECT_EQ(shape->inputs, 128u);
  EXPECT_EQ(shape->groups, 4u);
  EXPECT_FALSE(GptqShapeOf(64, 64 * 12 * 4, 64 * 4, 64 * 4 * 5 / 8));      // 5 bits
  EXPECT_FALSE(GptqShapeOf(64, 64 * 11 * 4, 64 * 4, 64 * 4 * 3 / 8));      // cut inputs
  EXPECT_FALSE(GptqShapeOf(64, 64 * 12 * 4, 64 * 4 - 1, 64 * 4 * 3 / 8));  // cut scales
  EXPECT_FALSE(GptqShapeOf(0, 0, 0, 0));
  EXPECT_FALSE(GptqShapeOf(64, 64 * 4, 64 * 100, 64 * 100 * 4 / 8));  // more groups than inputs
}

}  // namespace
}  // namespace qstore::scheme
