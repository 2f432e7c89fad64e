// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

// Conversions between F32 and the 16-bit floats, as the hardware does them: to nearest with ties to
// even, subnormals kept, overflow to infinity, NaN made quiet with its sign and leading payload
// bits kept. None depends on a flush-to-zero mode that the host program may have set. Loops over
// them vectorize: every branch is a selection.

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
  const uint32_t quiet = magnitude > 0x7c00 ? 0x00400000u : 0u;
  const uint32_t special = shifted | 0x7f800000 | quiet;
  const uint32_t finite = magnitude < 0x0400 ? subnormal : normal;
  return std::bit_cast<float>(sign | (magnitude >= 0x7c00 ? special : finite));
}

constexpr uint16_t FloatToFp16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  // The carry of rounding moves into the exponent, up to infinity.
  const uint32_t normal =
      ((magnitude + 0x0fff + ((magnitude >> 13) & 1)) >> 13) - (uint32_t{127 - 15} << 10);
  // Between 0.5 and 1 an F32 has the spacing of the subnormals: the addition rounds to it.
  const bool small = magnitude < (uint32_t{127 - 14} << 23);
  const float tiny = std::bit_cast<float>(small ? magnitude : 0u);
  const uint32_t subnormal = std::bit_cast<uint32_t>(tiny + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t quiet = 0x7e00 | ((magnitude >> 13) & 0x01ff);
  const uint32_t finite = small ? subnormal : normal;
  const uint32_t bounded = magnitude >= 0x477ff000 ? 0x7c00 : finite;
  return static_cast<uint16_t>(sign | (magnitude > 0x7f800000 ? quiet : bounded));
}

}  // namespace qstore::base
