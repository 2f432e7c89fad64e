// SPDX-License-Identifier: Apache-2.0
#include "scheme/fp8/fp8.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "base/float_convert.h"
#include "registry/given.h"
#include "registry/weights.h"
#include "scheme/fp8/fp8_rule.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;

// What a code stands for.
double ValueOf(unsigned code) {
  const int exponent = static_cast<int>(code >> 3 & 15);
  const double mantissa = code & 7;
  return exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
}

// The rule, step by step: the nearest value, ties to the even code.
uint8_t SlowCode(uint16_t pattern, float scale) {
  const float weight = base::Bf16ToFloat(pattern);
  const auto sign = static_cast<uint8_t>(pattern >> 8 & 0x80);
  if (std::isnan(weight)) return sign | 0x7f;
  const float quotient = base::Bf16ToFloat(base::FloatToBf16(std::fabs(weight) / scale));
  const double x = std::min<double>(quotient, 448);
  unsigned best = 0;
  for (unsigned code = 1; code <= 0x7e; ++code) {
    const double closer = std::fabs(ValueOf(code) - x) - std::fabs(ValueOf(best) - x);
    if (closer < 0 || (closer == 0 && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(sign | best);
}

std::vector<float> Scales() {
  std::vector<float> scales = {1.0f, 0x1p-100f, 0x1p-20f, 448.0f, 3e38f, 0.001953125f};
  std::mt19937 random(5);
  std::lognormal_distribution<float> spread(-7.0f, 1.5f);
  while (scales.size() < 12) {
    scales.push_back(base::Bf16ToFloat(base::FloatToBf16(spread(random))));
  }
  return scales;
}

TEST(Fp8Rule, FollowsTheDefinitionForEveryPattern) {
  Bytes patterns(2 * 65536);
  for (uint32_t p = 0; p < 65536; ++p) {
    const auto pattern = static_cast<uint16_t>(p);
    std::memcpy(patterns.data() + 2 * p, &pattern, 2);
  }
  for (const float scale : Scales()) {
    std::vector<uint8_t> codes(65536);
    RoundToFp8(patterns, scale, codes.data());
    for (uint32_t p = 0; p < 65536; ++p) {
      ASSERT_EQ(codes[p], SlowCode(static_cast<uint16_t>(p), scale)) << p << " " << scale;
    }
  }
}

TEST(Fp8Rule, BinsAreWhereTheRuleChanges) {
  for (const float scale : Scales()) {
    uint32_t first[kMaxMagnitude + 2];
    ASSERT_TRUE(Fp8Grid().FindBins({DType::kBF16, false}, scale, first));
    unsigned k = 1;
    for (uint32_t p = 0; p < 0x7f80; ++p) {
      for (; k <= kMaxMagnitude + 1 && SlowCode(static_cast<uint16_t>(p), scale) >= k; ++k) {
        ASSERT_EQ(first[k], p) << k << " " << scale;
      }
    }
    for (; k <= kMaxMagnitude + 1; ++k) ASSERT_EQ(first[k], 0x7f80u) << k << " " << scale;
  }
}

TEST(Fp8Rule, ScalesThatSayNothingGiveZeros) {
  const Bytes weights(8, std::byte{0x3f});
  for (const float scale : {0.0f, -1.0f, INFINITY, NAN, 1e-40f}) {
    uint8_t codes[4] = {9, 9, 9, 9};
    RoundToFp8(weights, scale, codes);
    for (const uint8_t code : codes) EXPECT_EQ(code, 0);
    uint32_t first[kMaxMagnitude + 2];
    EXPECT_FALSE(Fp8Grid().FindBins({DType::kBF16, false}, scale, first));
  }
}

// Weights, codes and scales, as compressed-tensors makes them.
struct Fp8Pair {
  uint64_t rows, columns;
  Bytes weights, codes, scales;
};

Fp8Pair MakeFp8(uint64_t rows, uint64_t columns, bool by_row) {
  Fp8Pair pair{rows, columns, testing::MakePair(DType::kBF16, rows, columns, 3).high, {}, {}};
  pair.codes.resize(rows * columns);
  const uint64_t step = by_row ? columns : rows * columns;
  for (uint64_t begin = 0; begin < rows * columns; begin += step) {
    float most = 0;
    for (uint64_t i = begin; i < begin + step; ++i) {
      most = std::max(most, std::fabs(testing::PatternValue(DType::kBF16, &pair.weights[2 * i])));
    }
    testing::AppendPattern(DType::kBF16, most / 448.0f, &pair.scales);
    const float scale = testing::PatternValue(DType::kBF16, &pair.scales[pair.scales.size() - 2]);
    RoundToFp8(std::span(pair.weights).subspan(2 * begin, 2 * step), scale,
               reinterpret_cast<uint8_t*>(&pair.codes[begin]));
  }
  return pair;
}

struct Coded {
  uint64_t bytes = 0;
  bool comes_back = true;
};

Coded RoundTrip(const Scheme& scheme, const ObjectSpec& spec, const Bytes& content,
                const std::vector<ObjectSpec>& specs, const std::vector<Bytes>& parents) {
  const auto bound = testing::BindOrFail(scheme, spec, specs);
  Coded coded;
  ChunkCoder encoder, decoder;
  for (uint64_t c = 0; c < spec.chunk_count(); ++c) {
    const testing::ChunkParents given(bound.get(), parents, spec, c);
    const auto raw = std::span(content).subspan(spec.first_elem(c) * spec.elem_bytes(),
                                                spec.chunk_elem_count(c) * spec.elem_bytes());
    Bytes payload;
    const auto codec =
        encoder.Encode(spec, Level::kBalanced, c, raw, given.given(), &payload).value();
    coded.bytes += payload.size();
    Bytes out(raw.size(), std::byte{0xaa});
    const Status status = decoder.Decode(spec, c, codec, payload, given.given(), out);
    coded.comes_back &= status.ok() && std::equal(raw.begin(), raw.end(), out.begin());
  }
  return coded;
}

class Fp8Schemes : public ::testing::TestWithParam<bool> {
 protected:
  Fp8Pair pair_ = MakeFp8(700, 512, GetParam());
  const uint64_t shape_[2] = {700, 512};
  const uint64_t scale_shape_[2] = {pair_.scales.size() / 2, 1};
  ObjectSpec weights_ = SpecFor(DType::kBF16, shape_, pair_.weights.size());
  ObjectSpec codes_ = SpecFor(DType::kF8E4M3, shape_, pair_.codes.size());
  ObjectSpec scales_ = SpecFor(DType::kBF16, scale_shape_, pair_.scales.size());
};

TEST_P(Fp8Schemes, CodesFollowFromWeights) {
  const Coded coded = RoundTrip(Fp8Codes(), codes_, pair_.codes, {weights_, scales_},
                                {pair_.weights, pair_.scales});
  EXPECT_TRUE(coded.comes_back);
  EXPECT_EQ(coded.bytes, 0u);
}

TEST_P(Fp8Schemes, WeightsTakeLittleBesideCodes) {
  const Coded coded =
      RoundTrip(Fp8(), weights_, pair_.weights, {codes_, scales_}, {pair_.codes, pair_.scales});
  EXPECT_TRUE(coded.comes_back);
  EXPECT_LT(8.0 * static_cast<double>(coded.bytes) / (700 * 512), 4.3);
}

TEST_P(Fp8Schemes, ExceptionsCostBytesOnly) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    pair_.codes[random() % pair_.codes.size()] = static_cast<std::byte>(random());
    pair_.weights[random() % pair_.weights.size()] = static_cast<std::byte>(random());
  }
  pair_.scales[1] = std::byte{0x80};
  const Coded codes = RoundTrip(Fp8Codes(), codes_, pair_.codes, {weights_, scales_},
                                {pair_.weights, pair_.scales});
  EXPECT_TRUE(codes.comes_back);
  const Coded weights =
      RoundTrip(Fp8(), weights_, pair_.weights, {codes_, scales_}, {pair_.codes, pair_.scales});
  EXPECT_TRUE(weights.comes_back);
}

TEST_P(Fp8Schemes, OtherSizesAreRefused) {
  const auto code = [](const Scheme& scheme, const ObjectSpec& child,
                       const std::vector<ObjectSpec>& parents) {
    return BindScheme(scheme.id(), child, parents, {}).status().code();
  };
  ObjectSpec scales = scales_;
  scales.byte_size += 2;
  EXPECT_EQ(code(Fp8(), weights_, {codes_, scales}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8Codes(), codes_, {weights_, scales}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8(), codes_, {codes_, scales_}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8(), weights_, {weights_, scales_}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8Codes(), weights_, {weights_, scales_}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8Codes(), codes_, {codes_, scales_}), ErrorCode::kCorrupt);
  EXPECT_EQ(code(Fp8Codes(), codes_, {weights_}), ErrorCode::kCorrupt);
}

INSTANTIATE_TEST_SUITE_P(RowsAndTensors, Fp8Schemes, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "ByRow" : "OfAll"; });

}  // namespace
}  // namespace qstore::scheme
