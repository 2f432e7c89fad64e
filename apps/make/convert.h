// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/dtype.h"

namespace qstore::make {

/// Converts `count` elements; `in` and `out` need no alignment. Rounds to nearest, ties to even;
/// F64 goes by way of F32. REQUIRES: `from` is F64, F32, F16 or BF16, `to` is BF16 or F16, and
/// out.size() is count times 2.
void ConvertFloats(DType from, std::span<const std::byte> in, DType to, std::span<std::byte> out);

/// The largest magnitude among F16 patterns, as a pattern: above 0x7bff when there is an infinity
/// or NaN.
uint16_t LargestMagnitude(std::span<const uint16_t> f16);

/// LLM.int8() of a part of a row: out[i] = w[i] * (127 * (1 / absmax)) in F32, rounded to nearest
/// with ties to even; zeros when absmax is 0. REQUIRES: no magnitude is above absmax, and it is
/// finite.
void QuantizeToInt8(std::span<const uint16_t> f16, float absmax, std::span<int8_t> out);

}  // namespace qstore::make
