// SPDX-License-Identifier: Apache-2.0
// What codes of blocks stand for, and which are nearest, against definitions in double precision.
#include "scheme/ggml/block_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/isa.h"
#include "registry/ggml.h"
#include "scheme/ggml/kernels/grid_kernels.h"
#include "scheme/grid/near_coder.h"

namespace qstore::scheme::ggml {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<DType> TypesWithGrids() {
  std::vector<DType> types;
  for (unsigned t = 0; t < kDTypeCount; ++t) {
    if (GridOfBlocks(static_cast<DType>(t)) != nullptr) types.push_back(static_cast<DType>(t));
  }
  return types;
}

/// Blocks with any bytes but for F16 scales, which are finite.
struct Sample {
  Sample(DType type, size_t blocks, uint32_t seed)
      : layout(*codec::LayoutOfBlocks(type)), grid(*GridOfBlocks(type)), count(blocks) {
    std::mt19937 random(seed);
    Bytes bytes(blocks * layout.bytes);
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    codec::SplitBlocks(layout, bytes, &scratch);
    for (size_t s = 0; s < layout.streams.size(); ++s) {
      streams[s] = scratch.stream(s);
      if (layout.streams[s].kind != codec::StreamKind::kHalf) continue;
      for (size_t b = 0; b < blocks; ++b) scratch.stream(s)[2 * b + 1] &= 0xBB;
    }
    scales.Fill(grid, layout.weights, streams.data(), blocks);
  }
  size_t weights() const { return count * layout.weights; }
  const uint8_t* codes() const { return streams[layout.codes()]; }

  const codec::BlockLayout& layout;
  const BlockGrid& grid;
  size_t count;
  codec::BlockScratch scratch;
  std::array<const uint8_t*, codec::kMaxBlockStreams> streams{};
  SubScales scales;
};

constexpr int kIq4[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int kMini[] = {0, 1, 2, 3, 4, 6, 8, 12};

// All codes, each with its number.
std::vector<std::pair<uint8_t, double>> NumbersOf(const BlockGrid& grid) {
  std::vector<std::pair<uint8_t, double>> numbers;
  if (grid.numbers == Numbers::kTable) {
    for (unsigned c = 0; c < 16; ++c) numbers.emplace_back(static_cast<uint8_t>(c), kIq4[c]);
    return numbers;
  }
  if (grid.numbers == Numbers::kMiniFloat) {
    for (unsigned c = 0; c < 16; ++c) {
      numbers.emplace_back(static_cast<uint8_t>(c), c < 8 ? kMini[c] : -kMini[c - 8]);
    }
    return numbers;
  }
  for (int code = 0; code <= grid.top; ++code) {
    const int number = code - grid.bias;
    const bool is_signed = grid.numbers == Numbers::kSigned;
    numbers.emplace_back(static_cast<uint8_t>(is_signed ? number : code), number);
  }
  return numbers;
}

double HalfAt(const uint8_t* stream, size_t i) {
  return base::Fp16ToFloat(static_cast<uint16_t>(stream[2 * i] | stream[2 * i + 1] << 8));
}

// The step of group `k` of a block, and its offset, by the table of docs/format-ggml.md.
std::pair<double, double> StepAndOffset(DType type, const Sample& sample, size_t b, size_t k) {
  const auto& s = sample.streams;
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
      return {HalfAt(s[0], b), HalfAt(s[1], b)};
    case DType::kQ2K:
      return {HalfAt(s[0], b) * s[2][16 * b + k], -HalfAt(s[1], b) * s[3][16 * b + k]};
    case DType::kQ4K:
    case DType::kQ5K:
      return {HalfAt(s[0], b) * s[2][8 * b + k], -HalfAt(s[1], b) * s[3][8 * b + k]};
    case DType::kQ3K:
      return {HalfAt(s[0], b) * (s[1][16 * b + k] - 32), 0};
    case DType::kIq4Xs:
      return {HalfAt(s[0], b) * (s[1][8 * b + k] - 32), 0};
    case DType::kQ6K:
      return {HalfAt(s[0], b) * static_cast<int8_t>(s[1][16 * b + k]), 0};
    case DType::kMxfp4:
      return {std::ldexp(1.0, s[0][b] - 128), 0};
    case DType::kNvfp4: {
      const unsigned byte = s[0][4 * b + k];
      const int exponent = static_cast<int>(byte >> 3 & 15);
      const double mantissa = byte & 7;
      if (byte == 0 || byte == 0x7F) return {0, 0};
      const double number =
          exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
      return {number / 2, 0};
    }
    default:
      return {HalfAt(s[0], b), 0};
  }
}

class GgmlGrid : public ::testing::TestWithParam<DType> {};

TEST_P(GgmlGrid, ValuesAreThoseOfTheTable) {
  const Sample sample(GetParam(), 64, 1);
  std::vector<float> values(sample.weights());
  ValuesOfCodes(sample.grid, sample.scales, sample.codes(), values);
  std::vector<double> of_code(256);
  for (const auto& [code, number] : NumbersOf(sample.grid)) of_code[code] = number;
  if (sample.grid.numbers == Numbers::kSigned) of_code[128] = -128;
  if (GetParam() == DType::kTq2_0) of_code[3] = 2;
  const size_t per_block = sample.layout.weights / sample.grid.per_sub;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t sub = i / sample.grid.per_sub;
    const auto [step, offset] = StepAndOffset(GetParam(), sample, sub / per_block, sub % per_block);
    EXPECT_EQ(sample.scales.steps[sub], step);
    const auto product = static_cast<float>(of_code[sample.codes()[i]] * step);
    EXPECT_EQ(values[i], sample.grid.has_offset ? product + static_cast<float>(offset) : product);
  }
}

TEST_P(GgmlGrid, NoCodeIsNearer) {
  const Sample sample(GetParam(), 64, 2);
  std::mt19937 random(3);
  std::vector<float> weights(sample.weights());
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t sub = i / sample.grid.per_sub;
    const float step = sample.scales.steps[sub];
    const float offset = sample.grid.has_offset ? sample.scales.offsets[sub] : 0;
    std::uniform_real_distribution<float> number(-150, 150);
    const float scale = sample.grid.top > 15 ? 1.0f : 0.1f;
    weights[i] = number(random) * scale * step + offset;
  }
  std::vector<uint8_t> codes(weights.size()), places(weights.size());
  NearestCodes(sample.grid, sample.scales, 0, weights, codes.data(), places.data());
  const auto numbers = NumbersOf(sample.grid);
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t sub = i / sample.grid.per_sub;
    const double step = sample.scales.steps[sub];
    if (step == 0 || !std::isfinite(weights[i])) {
      EXPECT_TRUE(step != 0 || codes[i] == 0);
      continue;
    }
    const double offset = sample.grid.has_offset ? sample.scales.offsets[sub] : 0;
    const double x = (weights[i] - offset) / step;
    double least = std::numeric_limits<double>::infinity(), own = least;
    for (const auto& [code, value] : numbers) {
      least = std::min(least, std::fabs(x - value));
      if (code == codes[i]) own = std::fabs(x - value);
    }
    EXPECT_LE(own, least + 1e-4 * (1 + std::fabs(x))) << i;
    if (sample.grid.numbers != Numbers::kLinear) continue;
    const double place = std::min(15.0, std::floor(32 * own));
    EXPECT_NEAR(places[i] & ~kIsBelow, place, 32e-4 * (1 + std::fabs(x)) + 1);
  }
}

TEST_P(GgmlGrid, SomeWeightsAtATimeAreAllTheSame) {
  const Sample sample(GetParam(), 64, 4);
  std::mt19937 random(5);
  std::vector<float> weights(sample.weights());
  for (float& w : weights) w = std::bit_cast<float>(static_cast<uint32_t>(random()));
  std::vector<uint8_t> codes(weights.size()), places(weights.size()), parts(weights.size());
  NearestCodes(sample.grid, sample.scales, 0, weights, codes.data(), places.data());
  const size_t half = sample.weights() / 2;
  for (const size_t first : {size_t{0}, half}) {
    NearestCodes(sample.grid, sample.scales, first / sample.grid.per_sub,
                 std::span(weights).subspan(first, half), parts.data() + first, nullptr);
  }
  EXPECT_EQ(parts, codes);
  for (const uint8_t place : places) EXPECT_LT(place & ~kIsBelow, kNearPlaces);
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlGrid, ::testing::ValuesIn(TypesWithGrids()),
                         [](const auto& test) { return std::string(DTypeName(test.param)); });

TEST(GgmlGridKernels, MakeTheSame) {
  std::vector<const GridKernels*> tables;
#if defined(QSTORE_X86_KERNELS)
  if (base::HasIsa(base::Isa::kAvx2)) tables.push_back(&kAvx2Grid);
  if (base::HasIsa(base::Isa::kAvx512)) tables.push_back(&kAvx512Grid);
#endif
  std::mt19937 random(6);
  constexpr size_t kSubs = 300;
  for (const size_t per_sub : {16, 32, 256}) {
    std::vector<float> weights(kSubs * per_sub), steps(kSubs), offsets(kSubs);
    const auto any = [&] { return std::bit_cast<float>(static_cast<uint32_t>(random())); };
    for (float& w : weights)
      w = random() % 4 == 0 ? any() : static_cast<float>(random() % 999) - 500;
    for (float& s : steps) s = random() % 4 == 0 ? any() : static_cast<float>(random() % 64) - 32;
    for (float& o : offsets) o = random() % 4 == 0 ? any() : static_cast<float>(random() % 64);
    for (const bool has_offsets : {false, true}) {
      const float* given = has_offsets ? offsets.data() : nullptr;
      const GridRun run{weights.data(), steps.data(), given, kSubs, per_sub, -32, 31, 32};
      std::vector<uint8_t> expected(weights.size()), found(weights.size());
      kScalarGrid.nearest(run, expected.data());
      for (const GridKernels* table : tables) {
        table->nearest(run, found.data());
        EXPECT_EQ(found, expected);
      }
    }
  }
  std::vector<uint8_t> patterns(2 * 65536);
  for (unsigned p = 0; p < 65536; ++p) {
    patterns[2 * p] = static_cast<uint8_t>(p);
    patterns[2 * p + 1] = static_cast<uint8_t>(p >> 8);
  }
  std::vector<float> values(65536);
  for (const GridKernels* table : tables) {
    table->from_bf16(patterns.data(), values.size(), values.data());
    for (unsigned p = 0; p < 65536; ++p) EXPECT_EQ(std::bit_cast<uint32_t>(values[p]), p << 16);
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
