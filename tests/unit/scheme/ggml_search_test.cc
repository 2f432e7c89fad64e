// SPDX-License-Identifier: Apache-2.0
// Blocks that ggml makes of weights. tests/golden/make_ggml_blocks.py has the real ones made.
#include "scheme/ggml/search/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/isa.h"
#include "unit/test_files.h"

namespace qstore::scheme::ggml {
namespace {

using Bytes = std::vector<std::byte>;

constexpr auto kIsas = {base::Isa::kScalar, base::Isa::kAvx2, base::Isa::kAvx512};

uint64_t BlockBytes(DType type, uint64_t weights) {
  return weights / DTypeBlock(type) * DTypeBits(type) / 8;
}

std::vector<DType> SearchedTypes() {
  std::vector<DType> types;
  for (unsigned t = 0; t < kDTypeCount; ++t) {
    if (IsSearched(static_cast<DType>(t))) types.push_back(static_cast<DType>(t));
  }
  return types;
}

Bytes Quantize(base::Isa isa, DType type, std::span<const float> weights, uint64_t columns,
               std::span<const float> importance) {
  const auto scratch = std::make_unique<SearchScratch>();
  Bytes out(BlockBytes(type, weights.size()));
  QuantizeRowsFor(isa, type, weights, columns, importance, out, scratch.get());
  return out;
}

struct Golden {
  Golden() {
    const std::string file = testing::ReadFile(QSTORE_GOLDEN "/ggml_blocks.bin");
    size_t at = 0;
    const auto take = [&](void* to, size_t bytes) {
      std::memcpy(to, file.data() + at, bytes);
      at += bytes;
    };
    uint32_t shape[2];
    take(shape, sizeof(shape));
    columns = shape[1];
    weights.resize(size_t{shape[0]} * columns);
    importance.resize(columns);
    take(weights.data(), weights.size() * sizeof(float));
    take(importance.data(), importance.size() * sizeof(float));
    while (at < file.size()) {
      uint8_t head[2];
      take(head, sizeof(head));
      Case next{static_cast<DType>(head[0]), head[1] != 0, {}};
      next.blocks.resize(BlockBytes(next.type, weights.size()));
      take(next.blocks.data(), next.blocks.size());
      cases.push_back(next);
    }
  }
  struct Case {
    DType type;
    bool has_importance;
    Bytes blocks;
  };
  uint64_t columns = 0;
  std::vector<float> weights;
  std::vector<float> importance;
  std::vector<Case> cases;
};

TEST(GgmlSearch, MakesTheBytesThatGgmlMakes) {
  const Golden golden;
  ASSERT_EQ(golden.cases.size(), 27u);
  for (const Golden::Case& c : golden.cases) {
    for (const base::Isa isa : kIsas) {
      if (!base::HasIsa(isa)) continue;
      const std::span<const float> importance(golden.importance);
      const Bytes made = Quantize(isa, c.type, golden.weights, golden.columns,
                                  importance.first(c.has_importance ? golden.columns : 0));
      const uint64_t row = BlockBytes(c.type, golden.columns);
      for (size_t at = 0; at < made.size(); at += row) {
        EXPECT_TRUE(std::equal(made.begin() + at, made.begin() + at + row, c.blocks.begin() + at))
            << DTypeName(c.type) << (c.has_importance ? " with importance" : "") << ", row "
            << at / row << ", instruction set " << static_cast<int>(isa);
      }
    }
  }
}

TEST(GgmlSearch, RowsDoNotDependOnOneAnother) {
  const Golden golden;
  for (const Golden::Case& c : golden.cases) {
    const uint64_t row = BlockBytes(c.type, golden.columns);
    const std::span<const float> importance(golden.importance);
    for (size_t r = 0; r < golden.weights.size() / golden.columns; ++r) {
      const std::span<const float> weights(golden.weights);
      Bytes made(row);
      const auto scratch = std::make_unique<SearchScratch>();
      QuantizeRows(c.type, weights.subspan(r * golden.columns, golden.columns), golden.columns,
                   importance.first(c.has_importance ? golden.columns : 0), made, scratch.get());
      EXPECT_TRUE(std::equal(made.begin(), made.end(), c.blocks.begin() + r * row))
          << DTypeName(c.type) << ", row " << r;
    }
  }
}

/// Rows of patterns of all kinds: numbers of any size, infinities, NaNs.
std::vector<float> WildWeights(uint64_t rows, uint64_t columns) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  constexpr float kSpecial[] = {
      std::numeric_limits<float>::infinity(),   -std::numeric_limits<float>::infinity(),
      std::numeric_limits<float>::quiet_NaN(),  std::numeric_limits<float>::max(),
      std::numeric_limits<float>::denorm_min(), -0.0f};
  std::vector<float> weights(rows * columns);
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t kind = i / columns % 8;
    const auto any = static_cast<uint32_t>(random());
    weights[i] = normal(random);
    if (kind < 6 && any % 16 == 0) weights[i] = kSpecial[kind];
    if (kind == 6) weights[i] = std::bit_cast<float>(any);
    if (kind == 7) weights[i] = kSpecial[i / columns / 8 % 6];
  }
  return weights;
}

TEST(GgmlSearch, MakesTheSameOfAnythingWithEveryInstructionSet) {
  constexpr uint64_t kColumns = 256 * 3;
  const std::vector<float> weights = WildWeights(48, kColumns);
  const std::vector<float> wild = WildWeights(7, kColumns);
  const std::span<const float> importance = std::span(wild).last(kColumns);
  for (const DType type : SearchedTypes()) {
    for (const bool has_importance : {false, true}) {
      const auto given = importance.first(has_importance ? kColumns : 0);
      const Bytes expected = Quantize(base::Isa::kScalar, type, weights, kColumns, given);
      for (const base::Isa isa : kIsas) {
        if (!base::HasIsa(isa)) continue;
        EXPECT_TRUE(Quantize(isa, type, weights, kColumns, given) == expected)
            << DTypeName(type) << (has_importance ? " with importance" : "");
      }
    }
  }
}

TEST(GgmlSearch, KnowsWhichTypesItMakes) {
  EXPECT_EQ(SearchedTypes().size(), 16u);
  EXPECT_TRUE(IsSearched(DType::kQ4K));
  EXPECT_FALSE(IsSearched(DType::kIq2Xs));
  EXPECT_FALSE(IsSearched(DType::kBF16));
}

}  // namespace
}  // namespace qstore::scheme::ggml
