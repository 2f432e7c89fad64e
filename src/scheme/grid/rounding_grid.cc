// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/rounding_grid.h"

#include <algorithm>

namespace qstore::scheme {
namespace {

// Half to even: k - 0.5 rounds to k when that is even.
bool RoundsToAtLeast(float number, unsigned k) {
  const float half = static_cast<float>(k) - 0.5f;
  return k % 2 == 0 ? number >= half : number > half;
}

// That of 448, the largest number.
constexpr unsigned kTopE4m3 = 0x7e;

}  // namespace

bool RoundingGrid::FindBins(const BinRule& rule, float factor,
                            uint32_t first[kMaxMagnitude + 2]) const {
  const bool is_e4m3 = rounding_.grid == GridKind::kE4m3;
  const unsigned top = is_e4m3 ? kTopE4m3 : kMaxMagnitude + 1;
  const codec::Scaling how = ScalingOf(rounding_, rule.target);
  const codec::ScaledRuns run{1, 1, &factor, nullptr};
  const uint32_t infinity = InfinityOf(rule.target);
  first[0] = 0;
  for (unsigned k = 1; k <= top; ++k) {
    const auto reaches = [&](uint32_t pattern) {
      const float value = ValueOf(rule, pattern);
      float scaled = 0;
      codec::kScalarRounding.scale(&value, run, how, &scaled);
      if (!is_e4m3) return RoundsToAtLeast(scaled, k);
      uint8_t code = 0;
      codec::kScalarRounding.e4m3(&scaled, 1, &code);
      return code >= k;
    };
    const float half =
        is_e4m3 ? (NumberOfE4m3(k - 1) + NumberOfE4m3(k)) / 2.0f : static_cast<float>(k) - 0.5f;
    const float boundary = rounding_.multiply ? half / factor : half * factor;
    first[k] = FirstReaching(reaches, PatternNear(rule.target, boundary), infinity);
  }
  std::fill(first + top + 1, first + kMaxMagnitude + 2, infinity);
  return true;
}

bool RoundingGrid::FindTable(float factor, unsigned shift, codec::BinTable8* table) const {
  const codec::Scaling how = ScalingOf(rounding_, DType::kBF16);
  const bool is_e4m3 = rounding_.grid == GridKind::kE4m3;
  return codec::ActiveRounding().bf16_bins(is_e4m3, factor, how, shift, table);
}

}  // namespace qstore::scheme
