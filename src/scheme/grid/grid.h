// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/float_convert.h"
#include "codec/kernels/kernels.h"
#include "qstore/dtype.h"

// Formats that round weights to a grid: a weight's code is the place of the nearest value of the
// grid, once the weight is divided by a scale. Given code and scale the weight is one of
// consecutive bit patterns, its bin. docs/format-coding.md, "Bins".

namespace qstore::scheme {

/// Largest magnitude of a code that has a bin.
inline constexpr unsigned kMaxMagnitude = 127;

/// The patterns that bins are made of.
struct BinRule {
  DType target = DType::kBF16;  ///< BF16, F16 or F32.
  bool via_fp16 = false;        ///< Values are rounded to F16 before they are scaled.
};

class Grid {
 public:
  virtual ~Grid() = default;

  /// `first[k]`, k = 1 to 128: the lowest pattern of a finite non-negative number of the target
  /// type whose code has a magnitude of k or more; the pattern of infinity where there is none. Bin
  /// k is [first[k], first[k + 1]). first[0] is 0. Returns false, and no bins, for a scale with
  /// which nothing follows from a code.
  virtual bool FindBins(const BinRule& rule, float scale,
                        uint32_t first[kMaxMagnitude + 2]) const = 0;

  /// The same for BF16 patterns that are multiples of 2^shift, all at once; false where that is not
  /// possible.
  virtual bool FindTable(float scale, unsigned shift, codec::BinTable8* table) const {
    (void)scale;
    (void)shift;
    (void)table;
    return false;
  }
};

/// Pattern of infinity, one above the largest finite number's.
inline uint32_t InfinityOf(DType target) {
  switch (target) {
    case DType::kBF16:
      return 0x7f80;
    case DType::kF16:
      return 0x7c00;
    default:
      return 0x7f800000;
  }
}

/// The number of a rule's pattern, as it is scaled.
inline float ValueOf(const BinRule& rule, uint32_t pattern) {
  float value = std::bit_cast<float>(pattern);
  if (rule.target == DType::kBF16) value = std::bit_cast<float>(pattern << 16);
  if (rule.target == DType::kF16) value = base::Fp16ToFloat(static_cast<uint16_t>(pattern));
  return rule.via_fp16 ? base::Fp16ToFloat(base::FloatToFp16(value)) : value;
}

/// The pattern of a number, or one near it.
inline uint32_t PatternNear(DType target, float value) {
  uint32_t pattern = std::bit_cast<uint32_t>(value);
  if (target == DType::kBF16) pattern >>= 16;
  if (target == DType::kF16) pattern = base::FloatToFp16(value);
  return std::min(pattern, InfinityOf(target));
}

/// The lowest pattern for which `reaches(pattern)`, a monotone predicate, holds, or `infinity`;
/// found in few steps from a guess nearby.
template <class Reaches>
uint32_t FirstReaching(const Reaches& reaches, uint32_t guess, uint32_t infinity) {
  uint32_t low = guess;
  uint32_t step = 1;
  while (low > 0 && reaches(low - 1)) {
    low = low > step ? low - step : 0;
    step *= 2;
  }
  uint32_t high = guess;
  step = 1;
  while (high < infinity && !reaches(high)) {
    high = infinity - high > step ? high + step : infinity;
    step *= 2;
  }
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (reaches(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace qstore::scheme
