// SPDX-License-Identifier: Apache-2.0
// The blocks themselves: tests/unit/scheme/ggml_search_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "base/float_convert.h"
#include "qstore/blocks.h"
#include "scheme/ggml/search/search.h"

namespace qstore {
namespace {

constexpr uint64_t kColumns = 256;

std::vector<float> Waves() {
  std::vector<float> values(2 * kColumns);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = base::Bf16ToFloat(base::FloatToBf16(std::sin(static_cast<float>(i * i % 1009))));
  }
  return values;
}

std::span<const std::byte> AsBytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

TEST(BlockMaker, MakesTheBlocksOfSearchesFromEveryFloat) {
  const std::vector<float> weights = Waves();
  const std::vector<float> importance(weights.begin() + 100, weights.begin() + 100 + kColumns);
  std::vector<uint16_t> halves;
  for (const float weight : weights) halves.push_back(base::FloatToBf16(weight));
  std::vector<std::byte> wanted(2 * 144);
  std::vector<std::byte> made(wanted.size());
  const auto scratch = std::make_unique<scheme::ggml::SearchScratch>();
  BlockMaker maker;
  for (const std::span<const float> by : {std::span<const float>(), std::span(importance)}) {
    scheme::ggml::QuantizeRows(DType::kQ4K, weights, kColumns, by, wanted, scratch.get());
    ASSERT_TRUE(maker.Make(DType::kF32, AsBytes(weights), DType::kQ4K, kColumns, by, made).ok());
    EXPECT_EQ(made, wanted);
    const auto bytes = std::as_bytes(std::span(halves));
    ASSERT_TRUE(maker.Make(DType::kBF16, bytes, DType::kQ4K, kColumns, by, made).ok());
    EXPECT_EQ(made, wanted);
  }
}

TEST(BlockMaker, RoundsFloatsAndReadsBlocks) {
  const std::vector<float> weights = Waves();
  BlockMaker maker;
  std::vector<std::byte> blocks(weights.size() / 32 * 34);
  ASSERT_TRUE(maker.Make(DType::kF32, AsBytes(weights), DType::kQ8_0, kColumns, {}, blocks).ok());
  std::vector<float> back(weights.size());
  ASSERT_TRUE(maker
                  .Make(DType::kQ8_0, blocks, DType::kF32, kColumns, {},
                        std::as_writable_bytes(std::span(back)))
                  .ok());
  for (size_t i = 0; i < back.size(); ++i) EXPECT_NEAR(back[i], weights[i], 0.005f);
  std::vector<uint16_t> halves(weights.size());
  ASSERT_TRUE(maker
                  .Make(DType::kF32, AsBytes(weights), DType::kF16, kColumns, {},
                        std::as_writable_bytes(std::span(halves)))
                  .ok());
  for (size_t i = 0; i < halves.size(); ++i) EXPECT_EQ(halves[i], base::FloatToFp16(weights[i]));
}

TEST(BlockMaker, KnowsItsTypes) {
  for (const DType type : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ6K}) {
    EXPECT_TRUE(BlockMaker::Reads(type));
    EXPECT_TRUE(BlockMaker::Makes(type));
  }
  for (const DType type : {DType::kI32, DType::kF64, DType::kIq1S}) {
    EXPECT_FALSE(BlockMaker::Makes(type));
  }
}

TEST(BlockMaker, RefusesOtherSizesAndWhatIsNotFinite) {
  std::vector<float> weights = Waves();
  std::vector<std::byte> out(weights.size() / 32 * 34);
  BlockMaker maker;
  const auto make = [&](uint64_t columns, std::span<const float> importance) {
    return maker.Make(DType::kF32, AsBytes(weights), DType::kQ8_0, columns, importance, out);
  };
  EXPECT_TRUE(make(kColumns, {}).ok());
  EXPECT_FALSE(make(0, {}).ok());
  EXPECT_FALSE(make(48, {}).ok());
  EXPECT_FALSE(make(kColumns, weights).ok());
  EXPECT_FALSE(make(3 * kColumns, {}).ok());
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 1e30f}) {
    weights[300] = bad;
    EXPECT_EQ(make(kColumns, {}).code(), ErrorCode::kInvalidArgument) << bad;
  }
  weights[300] = 1e30f;
  out.resize(weights.size() * 2);
  const auto half = maker.Make(DType::kF32, AsBytes(weights), DType::kF16, kColumns, {}, out);
  EXPECT_NE(half.message().find("beyond what F16 can hold"), std::string::npos) << half.ToString();
}

}  // namespace
}  // namespace qstore
