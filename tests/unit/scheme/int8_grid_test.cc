// SPDX-License-Identifier: Apache-2.0
#include "scheme/llm_int8/int8_grid.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "base/float_convert.h"

namespace qstore::scheme {
namespace {

float Value(DType dtype, uint32_t pattern) {
  if (dtype == DType::kBF16) return base::Bf16ToFloat(static_cast<uint16_t>(pattern));
  if (dtype == DType::kF16) return base::Fp16ToFloat(static_cast<uint16_t>(pattern));
  return std::bit_cast<float>(pattern);
}

// The definition, pattern by pattern.
void ExpectBins(DType dtype, float absmax) {
  uint32_t first[kMaxMagnitude + 2];
  ASSERT_TRUE(Int8Grid().FindBins({dtype, false}, absmax, first));
  const uint32_t infinity = dtype == DType::kBF16 ? 0x7f80 : 0x7c00;
  const float scale = 127.0f / absmax;
  unsigned k = 1;
  for (uint32_t p = 0; p < infinity && k <= kMaxMagnitude + 1; ++p) {
    const float q = std::nearbyint(Value(dtype, p) * scale);
    while (k <= kMaxMagnitude + 1 && q >= static_cast<float>(k)) {
      ASSERT_EQ(first[k], p) << "bin " << k << " absmax " << absmax;
      ++k;
    }
  }
  for (; k <= kMaxMagnitude + 1; ++k) ASSERT_EQ(first[k], infinity) << "bin " << k;
}

TEST(Int8Grid, FollowTheDefinitionForEveryPattern) {
  std::mt19937 random(11);
  std::lognormal_distribution<float> spread(-2.5f, 2.0f);
  for (int round = 0; round < 300; ++round) {
    ExpectBins(DType::kBF16, Value(DType::kBF16, base::FloatToBf16(spread(random))));
    ExpectBins(DType::kF16, spread(random));
  }
  for (float absmax : {1.0f, 127.0f, 63.5f, 254.0f, 1e-6f, 65504.0f, 3e38f, 1e-30f, 0.5f}) {
    ExpectBins(DType::kBF16, absmax);
    ExpectBins(DType::kF16, absmax);
  }
}

TEST(Int8Grid, F32BinsEndWhereTheNextBegins) {
  for (bool via_fp16 : {false, true}) {
    uint32_t first[kMaxMagnitude + 2];
    const float absmax = 0.1171875f;
    ASSERT_TRUE(Int8Grid().FindBins({DType::kF32, via_fp16}, absmax, first));
    const auto bin = [&](uint32_t pattern) {
      float value = std::bit_cast<float>(pattern);
      if (via_fp16) value = base::Fp16ToFloat(base::FloatToFp16(value));
      return std::nearbyint(value * (127.0f / absmax));
    };
    for (unsigned k = 1; k <= kMaxMagnitude + 1; ++k) {
      EXPECT_GE(bin(first[k]), static_cast<float>(k));
      EXPECT_LT(bin(first[k] - 1), static_cast<float>(k));
    }
  }
}

TEST(Int8Grid, RowsWithoutAScaleHaveNone) {
  uint32_t first[kMaxMagnitude + 2];
  for (float absmax : {0.0f, -1.0f, INFINITY, NAN, 1e-40f, 7e-31f}) {
    EXPECT_FALSE(Int8Grid().FindBins({DType::kBF16, false}, absmax, first)) << absmax;
  }
}

}  // namespace
}  // namespace qstore::scheme
