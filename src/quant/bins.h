// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "qstore/dtype.h"

namespace qstore::quant {

// LLM.int8() (Dettmers et al. 2022, bitsandbytes): a row of weights w becomes
// q = round_half_even(w * (127 / absmax)), with SCB = absmax = max |w| in the row. Given q and SCB
// the weight is one of consecutive bit patterns: the bin of |q|. docs/format-coding.md, "Bins".

/// Largest magnitude of q that has a bin.
inline constexpr unsigned kMaxMagnitude = 127;

/// The function whose inverse images are the bins.
struct BinRule {
  DType target = DType::kBF16;  ///< BF16, F16 or F32: the patterns counted.
  bool via_fp16 = false;        ///< Values are rounded to F16 before they are scaled.
};

/// Whether rows of this largest magnitude have bins: it is finite and at least 2^-100, so that no
/// subnormal decides a bin, which hosts may have flushed to zero.
bool HasBins(float absmax);

/// `first[k]`, k = 1 to 128: the lowest pattern p of a finite non-negative number of the target
/// type for which round_half_even(f32(value(p)) * s) >= k, with s = f32(127) / absmax, all in IEEE
/// single precision. The pattern of infinity where there is none. Bin k is [first[k], first[k +
/// 1]). first[0] is 0. Returns false, and no bins, unless
/// HasBins(absmax).
bool FindBins(const BinRule& rule, float absmax, uint32_t first[kMaxMagnitude + 2]);

}  // namespace qstore::quant
