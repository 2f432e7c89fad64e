// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "qstore/dtype.h"

// The codes that weights round to with given scales and zero points, and how far they lie from
// them. docs/format-grids.md, "Near codes".

namespace qstore::scheme {

/// Numbers below 2^-125 in size count as 0, since what a host makes of subnormals is its own
/// matter.
inline float WithoutSmall(float value) {
  constexpr auto kLeast = std::bit_cast<uint32_t>(0x1p-125f);
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t is_kept = (bits & 0x7fffffff) >= kLeast ? ~0u : 0u;
  return std::bit_cast<float>(bits & is_kept);
}

/// Rounds numbers to a float type; F32 leaves them as they are.
void RoundAll(DType type, size_t count, float* values);

/// Numbers that are counted in codes: divided by their scales, without small ones, and rounded to
/// `quotient`. 0 with a scale of 0; limited to 65536 in size, a NaN to -65536.
void CountSteps(const float* values, const float* scales, size_t count, DType quotient,
                float* steps);

/// The nearest codes of `bits` bits, ties to even, and the places (near_coder.h).
void FindNearest(const float* steps, const uint8_t* zeros, size_t count, unsigned bits,
                 uint8_t* nearest, uint8_t* places);

}  // namespace qstore::scheme
