// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "qstore/dtype.h"

// The codes that weights round to with given scales and zero points, and how far they lie from
// them. docs/format-grids.md, "Near codes".

namespace qstore::scheme {

/// Rounds numbers to a float type; F32 leaves them as they are.
void RoundAll(DType type, size_t count, float* values);

/// Numbers that are counted in codes: divided by their scales and rounded to `quotient`. 0 with a
/// scale of 0; limited to 65536 in size, a NaN to -65536.
void CountSteps(const float* values, const float* scales, size_t count, DType quotient,
                float* steps);

/// The nearest codes of `bits` bits, ties to even, and the places (near_coder.h).
void FindNearest(const float* steps, const uint8_t* zeros, size_t count, unsigned bits,
                 uint8_t* nearest, uint8_t* places);

}  // namespace qstore::scheme
