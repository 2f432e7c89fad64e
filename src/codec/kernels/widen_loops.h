// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/half_loops.h"
#include "codec/kernels/round_kernels.h"

// What is taken of weights before they are rounded to a grid: numbers, and what is largest among
// them. Plain loops that the compiler vectorizes; compiled anew, with internal linkage, for every
// instruction set that includes this file.

namespace qstore::codec {
namespace {
namespace rounding {

constexpr uint32_t kMagnitude = 0x7fffffff;
// 2^-125. Below, hosts may have results flushed to zero.
constexpr uint32_t kSmall = 0x01000000;

using loops::FloatBits;
using loops::FloatFrom;

inline void WidenBf16(const uint8_t* patterns, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t pattern;
    std::memcpy(&pattern, patterns + 2 * i, 2);
    const uint32_t bits = static_cast<uint32_t>(pattern) << 16;
    const uint32_t is_normal = 0u - static_cast<uint32_t>((pattern & 0x7f80) != 0);
    out[i] = FloatFrom(bits & (is_normal | 0x80000000));
  }
}

inline void WidenFp16(const uint8_t* patterns, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t pattern;
    std::memcpy(&pattern, patterns + 2 * i, 2);
    out[i] = halves::WidenFp16(pattern);
  }
}

inline void ThroughFp16(size_t count, float* values) {
  for (size_t i = 0; i < count; ++i) values[i] = halves::RoundToFp16(values[i]);
}

// A BF16 number has at most 8 bits, so that only those below 2^-14 change, which become multiples
// of 2^-24, and those beyond the largest F16 number.
inline void Bf16ThroughFp16(size_t count, float* values) {
  constexpr uint32_t kLeastNormal = 0x38800000;  // 2^-14.
  constexpr uint32_t kLargest = 0x477fe000;      // 65504.
  constexpr uint32_t kInfinity = 0x7f800000;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const uint32_t magnitude = bits & kMagnitude;
    const uint32_t is_small = 0u - static_cast<uint32_t>(magnitude < kLeastNormal);
    const uint32_t small = FloatBits(FloatFrom(magnitude & is_small) + 0.5f - 0.5f);
    const uint32_t is_large = 0u - static_cast<uint32_t>(magnitude > kLargest);
    const uint32_t is_nan = 0u - static_cast<uint32_t>(magnitude > kInfinity);
    const uint32_t other = magnitude | (is_nan & 0x00400000);
    const uint32_t size = (small & is_small) | (other & ~is_small);
    const uint32_t large = is_large & ~is_nan;
    values[i] = FloatFrom((bits & 0x80000000) | (kInfinity & large) | (size & ~large));
  }
}

inline void Bf16Absmax(const uint8_t* patterns, size_t run_elems, size_t run_count,
                       uint32_t* most) {
  for (size_t r = 0; r < run_count; ++r, patterns += 2 * run_elems) {
    uint16_t largest = 0;
    for (size_t i = 0; i < run_elems; ++i) {
      uint16_t pattern;
      std::memcpy(&pattern, patterns + 2 * i, 2);
      pattern &= 0x7fff;
      largest = pattern > largest ? pattern : largest;
    }
    most[r] = largest;
  }
}

inline void Absmax(const float* values, size_t run_elems, size_t run_count, uint32_t* most) {
  for (size_t r = 0; r < run_count; ++r, values += run_elems) {
    uint32_t largest = 0;
    for (size_t i = 0; i < run_elems; ++i) {
      const uint32_t magnitude = FloatBits(values[i]) & kMagnitude;
      largest = magnitude > largest ? magnitude : largest;
    }
    most[r] = largest;
  }
}

// Numbers in the order of these are in the order of their values. It is its own inverse.
inline int32_t Ordered(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

inline void Extremes(const float* values, size_t run_elems, size_t run_count, float* least,
                     float* most) {
  for (size_t r = 0; r < run_count; ++r, values += run_elems) {
    int32_t low = INT32_MAX;
    int32_t high = INT32_MIN;
    for (size_t i = 0; i < run_elems; ++i) {
      const int32_t value = Ordered(static_cast<int32_t>(FloatBits(values[i])));
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    least[r] = FloatFrom(static_cast<uint32_t>(Ordered(low)));
    most[r] = FloatFrom(static_cast<uint32_t>(Ordered(high)));
  }
}

inline int16_t Ordered16(int16_t bits) {
  return static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff));
}

inline void Bf16Extremes(const uint8_t* patterns, size_t run_elems, size_t run_count,
                         uint16_t* least, uint16_t* most) {
  for (size_t r = 0; r < run_count; ++r, patterns += 2 * run_elems) {
    int16_t low = INT16_MAX;
    int16_t high = INT16_MIN;
    for (size_t i = 0; i < run_elems; ++i) {
      int16_t pattern;
      std::memcpy(&pattern, patterns + 2 * i, 2);
      const int16_t value = Ordered16(pattern);
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    least[r] = static_cast<uint16_t>(Ordered16(low));
    most[r] = static_cast<uint16_t>(Ordered16(high));
  }
}

}  // namespace rounding
}  // namespace
}  // namespace qstore::codec
