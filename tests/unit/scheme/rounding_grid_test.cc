// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/rounding_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "codec/kernels/round_kernels.h"
#include "registry/grids.h"

namespace qstore::scheme {
namespace {

constexpr RoundingRule kRules[] = {RoundingRule::kE4m3, RoundingRule::kE4m3Inverse,
                                   RoundingRule::kInt8};

std::vector<float> Factors(const Rounding& rounding) {
  std::vector<float> factors = {1.0f, 448.0f, 0x1p-20f, 0x1p20f, 0x1p-100f, 0x1p100f};
  std::mt19937 random(5);
  std::lognormal_distribution<float> spread(-7.0f, 1.5f);
  while (factors.size() < 16) {
    const float scale = testing::RoundedTo(DType::kBF16, spread(random));
    factors.push_back(rounding.multiply ? 1.0f / scale : scale);
  }
  return factors;
}

// The magnitude of a pattern's code.
float Magnitude(const Rounding& rounding, float value, float factor) {
  float scaled = rounding.multiply ? value * factor : value / factor;
  if (rounding.rounds) scaled = testing::RoundedTo(DType::kBF16, scaled);
  if (rounding.grid == GridKind::kE4m3) return testing::SlowE4m3(scaled);
  return std::nearbyint(scaled);
}

TEST(RoundingGrid, BinsAreWhereTheRuleChanges) {
  for (const RoundingRule rule : kRules) {
    const Rounding& rounding = RoundingOf(rule);
    const RoundingGrid grid(rounding);
    for (const float factor : Factors(rounding)) {
      uint32_t first[kMaxMagnitude + 2];
      ASSERT_TRUE(grid.FindBins({DType::kBF16, false}, factor, first));
      unsigned k = 1;
      for (uint32_t p = 0; p < 0x7f80; ++p) {
        const auto bits = static_cast<uint16_t>(p < 0x80 ? 0 : p);
        const float reached = Magnitude(rounding, base::Bf16ToFloat(bits), factor);
        for (; k <= kMaxMagnitude + 1 && reached >= static_cast<float>(k); ++k) {
          ASSERT_EQ(first[k], p) << k << " " << factor << " " << static_cast<int>(rule);
        }
      }
      for (; k <= kMaxMagnitude + 1; ++k) ASSERT_EQ(first[k], 0x7f80u) << k << " " << factor;
    }
  }
}

TEST(RoundingGrid, TablesAreThoseOfTheBins) {
  unsigned found = 0;
  for (const RoundingRule rule : kRules) {
    const Rounding& rounding = RoundingOf(rule);
    const RoundingGrid grid(rounding);
    for (const float factor : Factors(rounding)) {
      uint32_t first[kMaxMagnitude + 2];
      ASSERT_TRUE(grid.FindBins({DType::kBF16, false}, factor, first));
      for (const char* isa : {"scalar", "avx2", "avx512"}) {
        const codec::RoundKernels* kernels = codec::RoundingByName(isa);
        if (kernels == nullptr) continue;
        for (unsigned shift = 0; shift < 8; ++shift) {
          codec::BinTable8 table;
          const bool is_e4m3 = rounding.grid == GridKind::kE4m3;
          const codec::Scaling how = ScalingOf(rounding, DType::kBF16);
          if (!kernels->bf16_bins(is_e4m3, factor, how, shift, &table)) continue;
          ++found;
          const unsigned end = is_e4m3 ? 0x7e : kMaxMagnitude + 1;
          for (unsigned k = 1; k < end; ++k) {
            const uint32_t low = (first[k] + (1u << shift) - 1) >> shift;
            const uint32_t high = (first[k + 1] + (1u << shift) - 1) >> shift;
            if (table.first[k] == codec::kWideBin) {
              ASSERT_TRUE(high - low > 255 || high == low) << k << " " << factor;
              continue;
            }
            ASSERT_EQ(table.first[k], low) << isa << " " << k << " " << factor << " " << shift;
            const unsigned width = table.width[k];
            ASSERT_EQ(table.threshold[k], (2u << width) - (high - low)) << k << " " << factor;
          }
        }
      }
    }
  }
  EXPECT_GT(found, 8u * 3 * 10);
}

}  // namespace
}  // namespace qstore::scheme
