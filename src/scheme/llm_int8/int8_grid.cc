// SPDX-License-Identifier: Apache-2.0
#include "scheme/llm_int8/int8_grid.h"

#include <cmath>

namespace qstore::scheme {
namespace {

constexpr float kMinAbsmax = 0x1p-100f;

bool HasBins(float absmax) { return absmax >= kMinAbsmax && std::isfinite(absmax); }

// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, below 2^22; larger values
// stay at or above 2^22, which is all a comparison with k <= 128 needs.
float RoundHalfEven(float x) {
  constexpr float kMagic = 12582912.0f;
  return x + kMagic - kMagic;
}

// All F16 bins at once, without branches: the nearest pattern to the boundary is the first of the
// bin, or one away. Returns false when a check of the result fails.
bool FindF16(float scale, float absmax, uint32_t* first) {
  const float step = absmax / 127.0f;
  uint32_t bad = 0;
  const auto reached = [scale](uint32_t pattern) {
    return RoundHalfEven(base::Fp16ToFloat(static_cast<uint16_t>(pattern)) * scale);
  };
  for (unsigned k = 1; k <= kMaxMagnitude + 1; ++k) {
    const auto bound = static_cast<float>(static_cast<int>(k));
    const uint32_t guess = uint32_t{base::FloatToFp16((bound - 0.5f) * step)} - 1;
    const uint32_t below1 = reached(guess + 1) < bound;
    const uint32_t below2 = reached(guess + 2) < bound;
    bad |= static_cast<uint32_t>(!(reached(guess) < bound));
    bad |= static_cast<uint32_t>(!(reached(guess + 3) >= bound));
    first[k] = guess + 1 + below1 + below2;
  }
  return bad == 0 && first[kMaxMagnitude + 1] <= InfinityOf(DType::kF16);
}

class Int8 final : public Grid {
 public:
  bool FindBins(const BinRule& rule, float absmax,
                uint32_t first[kMaxMagnitude + 2]) const override {
    first[0] = 0;
    if (!HasBins(absmax)) return false;
    const float scale = 127.0f / absmax;
    if (rule.target == DType::kF16 && FindF16(scale, absmax, first)) return true;
    for (unsigned k = 1; k <= kMaxMagnitude + 1; ++k) {
      const auto bound = static_cast<float>(k);
      const float boundary = (bound - 0.5f) * (absmax / 127.0f);
      const auto reaches = [&](uint32_t pattern) {
        return RoundHalfEven(ValueOf(rule, pattern) * scale) >= bound;
      };
      first[k] =
          FirstReaching(reaches, PatternNear(rule.target, boundary), InfinityOf(rule.target));
    }
    return true;
  }

  bool FindTable(float absmax, unsigned shift, codec::BinTable8* table) const override {
    return HasBins(absmax) && codec::ActiveKernels().bf16_bins(absmax, shift, table);
  }
};

}  // namespace

const Grid& Int8Grid() {
  static const Int8 kGrid;
  return kGrid;
}

}  // namespace qstore::scheme
