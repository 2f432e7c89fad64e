// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

// F16 as ggml rounds to it, and small things of the standard library with internal linkage: a
// kernel's code must not become that of others.

namespace qstore::scheme::ggml {
namespace {

template <class T>
constexpr T MinOf(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T MaxOf(T a, T b) {
  return a < b ? b : a;
}

// The low eight bits, as a number with a sign.
constexpr int32_t SignedByte(int32_t value) {
  return static_cast<int32_t>(static_cast<uint32_t>(value) << 24) >> 24;
}

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// To nearest, ties to even. NaNs become one, since their bits depend on the machine.
inline uint16_t HalfBits(float value) {
  const uint32_t bits = BitsOf(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0xfe00;
  uint32_t half = 0;
  if (magnitude > 0x477fefff) {
    half = 0x7c00;
  } else if (magnitude < uint32_t{127 - 14} << 23) {
    // Between 0.5 and 1 an F32 has the spacing of the subnormals: the addition rounds to it.
    half = BitsOf(FloatOf(magnitude) + 0.5f) - BitsOf(0.5f);
  } else {
    half = ((magnitude + 0x0fff + (magnitude >> 13 & 1)) >> 13) - (uint32_t{127 - 15} << 10);
  }
  return static_cast<uint16_t>(half | (bits >> 16 & 0x8000));
}

inline float ThroughHalf(float value) {
  const uint16_t half = HalfBits(value);
  const uint32_t magnitude = half & 0x7fff;
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  constexpr uint32_t kLeastNormal = uint32_t{127 - 14} << 23;
  const uint32_t shifted = magnitude << 13;
  if (magnitude < 0x0400) {
    return FloatOf(sign | BitsOf(FloatOf(kLeastNormal | shifted) - FloatOf(kLeastNormal)));
  }
  if (magnitude >= 0x7c00) return FloatOf(sign | shifted | 0x7f800000);
  return FloatOf(sign | (shifted + (uint32_t{127 - 15} << 23)));
}

inline void PutHalf(float value, uint8_t* out) {
  const uint16_t bits = HalfBits(value);
  std::memcpy(out, &bits, sizeof(bits));
}

}  // namespace
}  // namespace qstore::scheme::ggml
