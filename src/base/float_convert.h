// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

// Conversions between F32 and the 16-bit floats, as the hardware does them: to nearest with ties to
// even, subnormals kept, overflow to infinity, NaN made quiet with its sign and leading payload
// bits kept. None depends on a flush-to-zero mode that the host program may have set. Loops over
// them vectorize.

namespace qstore::base {

constexpr float Bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

constexpr uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

constexpr float Fp16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7fff;
  const uint32_t shifted = magnitude << 13;
  const uint32_t normal = shifted + (uint32_t{127 - 15} << 23);
  // 2^-14 plus the subnormal, minus 2^-14: exact, and no operand is a subnormal F32.
  constexpr uint32_t kMinNormal = uint32_t{127 - 14} << 23;
  const auto subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(kMinNormal | shifted) -
                                                 std::bit_cast<float>(kMinNormal));
  // Masks, since a condition would keep the subtraction from being done for every lane.
  const uint32_t is_subnormal = 0u - ((magnitude - 0x0400) >> 31);
  const uint32_t is_special = 0u - ((0x7bff - magnitude) >> 31);
  const uint32_t is_nan = 0u - ((0x7c00 - magnitude) >> 31);
  const uint32_t finite = (subnormal & is_subnormal) | (normal & ~is_subnormal);
  const uint32_t special = shifted | 0x7f800000 | (is_nan & 0x00400000);
  return std::bit_cast<float>(sign | (finite & ~is_special) | (special & is_special));
}

constexpr uint16_t FloatToFp16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  // The carry of rounding moves into the exponent, up to infinity.
  const uint32_t normal =
      ((magnitude + 0x0fff + ((magnitude >> 13) & 1)) >> 13) - (uint32_t{127 - 15} << 10);
  const uint32_t is_small = 0u - ((magnitude - (uint32_t{127 - 14} << 23)) >> 31);
  // Between 0.5 and 1 an F32 has the spacing of the subnormals: the addition rounds to it.
  const auto tiny = std::bit_cast<float>(magnitude & is_small);
  const uint32_t subnormal = std::bit_cast<uint32_t>(tiny + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t finite = (subnormal & is_small) | (normal & ~is_small);
  const uint32_t is_overflow = 0u - ((0x477fefff - magnitude) >> 31);
  const uint32_t is_nan = 0u - ((0x7f800000 - magnitude) >> 31);
  const uint32_t quiet = 0x0200 | ((magnitude >> 13) & 0x01ff);
  const uint32_t special = 0x7c00 | (quiet & is_nan);
  return static_cast<uint16_t>(sign | (finite & ~is_overflow) | (special & is_overflow));
}

}  // namespace qstore::base
