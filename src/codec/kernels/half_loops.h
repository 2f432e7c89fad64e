// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "codec/kernels/portable_loops.h"

// Rounding to the 16-bit floats and back, as base/float_convert.h has it, and with internal
// linkage: a kernel's code must not become that of others. Loops over them vectorize.

namespace qstore::codec {
namespace {
namespace halves {

using loops::FloatBits;
using loops::FloatFrom;

inline float RoundToBf16(float value) {
  const uint32_t bits = FloatBits(value);
  const uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const uint32_t quiet = bits | 0x00400000;
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  return FloatFrom((is_nan ? quiet : rounded) & 0xffff0000);
}

inline float WidenFp16(uint16_t pattern) {
  const uint32_t sign = static_cast<uint32_t>(pattern & 0x8000) << 16;
  const uint32_t magnitude = pattern & 0x7fff;
  const uint32_t shifted = magnitude << 13;
  const uint32_t normal = shifted + (uint32_t{127 - 15} << 23);
  // 2^-14 plus the subnormal, minus 2^-14: exact, and no operand is a subnormal F32.
  constexpr uint32_t kMinNormal = uint32_t{127 - 14} << 23;
  const uint32_t subnormal = FloatBits(FloatFrom(kMinNormal | shifted) - FloatFrom(kMinNormal));
  const uint32_t is_subnormal = 0u - ((magnitude - 0x0400) >> 31);
  const uint32_t is_special = 0u - ((0x7bff - magnitude) >> 31);
  const uint32_t is_nan = 0u - ((0x7c00 - magnitude) >> 31);
  const uint32_t finite = (subnormal & is_subnormal) | (normal & ~is_subnormal);
  const uint32_t special = shifted | 0x7f800000 | (is_nan & 0x00400000);
  return FloatFrom(sign | (finite & ~is_special) | (special & is_special));
}

inline float RoundToFp16(float value) {
  const uint32_t bits = FloatBits(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t rounded = (magnitude + 0x0fff + ((magnitude >> 13) & 1)) & 0xffffe000;
  const uint32_t is_small = 0u - ((magnitude - (uint32_t{127 - 14} << 23)) >> 31);
  // Between 0.5 and 1 an F32 has the spacing of the subnormals: the addition rounds to it.
  const uint32_t subnormal = FloatBits(FloatFrom(magnitude & is_small) + 0.5f - 0.5f);
  const uint32_t finite = (subnormal & is_small) | (rounded & ~is_small);
  const uint32_t is_overflow = 0u - ((0x477fefff - magnitude) >> 31);
  const uint32_t is_nan = 0u - ((0x7f800000 - magnitude) >> 31);
  const uint32_t quiet = 0x7fc00000 | (magnitude & 0x003fe000);
  const uint32_t special = (quiet & is_nan) | (0x7f800000 & ~is_nan);
  const uint32_t result = (finite & ~is_overflow) | (special & is_overflow);
  return FloatFrom((bits & 0x80000000) | result);
}

}  // namespace halves
}  // namespace
}  // namespace qstore::codec
