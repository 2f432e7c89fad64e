// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/half_loops.h"
#include "scheme/ggml/search/kernels/lanes.h"

// Steps of rules without a search. docs/format-ggml.md, "Plain rules".

namespace qstore::scheme::ggml {
namespace {

constexpr uint32_t kSizeMask = 0x7fffffff;
constexpr uint32_t kInfinityBits = 0x7f800000;

inline float Inverse(float value) { return value != 0 ? 1 / value : 0.0f; }

// cut() of docs/format-ggml.md: what x86 makes of any number. Without branches, as loops over it
// are then made of vectors.
inline int32_t Cut(float value) {
  const uint32_t is_inside = 0u - static_cast<uint32_t>(__builtin_fabsf(value) < 0x1p31f);
  const auto inside = static_cast<int32_t>(FloatOf(BitsOf(value) & is_inside));
  return inside | static_cast<int32_t>(~is_inside & 0x80000000u);
}

// To the nearest integer, ties away from zero, of which the low eight bits have a meaning.
inline int32_t CutRounded(float value) {
  // Large numbers have no fraction. The number is the greatest below a half, with which the one
  // below a tie stays below it.
  const uint32_t is_small = 0u - static_cast<uint32_t>(__builtin_fabsf(value) < 0x1p23f);
  const uint32_t half = BitsOf(0x1.fffffep-2f) & is_small;
  return Cut(value + FloatOf(half | (BitsOf(value) & 0x80000000u)));
}

// The largest size, NaNs passed over.
inline float LargestSize(const float* weights, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t size = BitsOf(weights[i]) & kSizeMask;
    largest = MaxOf(largest, size > kInfinityBits ? 0 : size);
  }
  return FloatOf(largest);
}

// The same where a NaN undoes what was before it, and is the result at the end.
inline float LastingSize(const float* weights, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) largest = MaxOf(largest, BitsOf(weights[i]) & kSizeMask);
  if (largest <= kInfinityBits) return FloatOf(largest);
  float lasting = 0;
  for (size_t i = 0; i < count; ++i) {
    const float size = __builtin_fabsf(weights[i]);
    lasting = lasting > size ? lasting : size;
  }
  return lasting;
}

// The first number of the largest size, or 0.
inline float LargestNumber(const float* weights, size_t count) {
  const uint32_t size = BitsOf(LargestSize(weights, count));
  if (size == 0) return 0;
  // All of its size are the number but for the sign, which is that of the first.
  size_t i = 0;
  while ((BitsOf(weights[i]) & kSizeMask) != size) ++i;
  return weights[i];
}

struct Extremes {
  float low, high;
};

// NaNs are passed over; of zeros the sign of the first is kept.
inline Extremes FindExtremes(const float* weights, size_t count) {
  constexpr size_t kWays = 8;
  constexpr float kMost = 0x1.fffffep127f;
  float low[kWays], high[kWays];
  for (size_t k = 0; k < kWays; ++k) {
    low[k] = kMost;
    high[k] = -kMost;
  }
  for (size_t i = 0; i < count; i += kWays) {
    for (size_t k = 0; k < kWays; ++k) {
      const float x = weights[i + k];
      low[k] = x < low[k] ? x : low[k];
      high[k] = x > high[k] ? x : high[k];
    }
  }
  Extremes found{low[0], high[0]};
  for (size_t k = 1; k < kWays; ++k) {
    found.low = low[k] < found.low ? low[k] : found.low;
    found.high = high[k] > found.high ? high[k] : found.high;
  }
  if (found.low == 0) {
    size_t i = 0;
    while (weights[i] != 0) ++i;
    found.low = weights[i];
    if (found.high == 0) found.high = found.low;
  }
  return found;
}

// The exponent of the power of two at or below a size that is neither 0 nor infinite; where the
// size is so close to the next power that its logarithm is rounded to it, that one's.
inline int32_t FloorLog2(float size) {
  // By the highest bit of the logarithm's whole part: how far below a power of two, in 2^-24 of
  // it, its logarithm still is.
  constexpr uint32_t kRoundedUp[] = {0, 1, 2, 5, 11, 22, 44, 88};
  const uint32_t bits = BitsOf(size);
  uint32_t mantissa = bits & 0x007fffff;
  int32_t exponent = static_cast<int32_t>(bits >> 23) - 127;
  if (exponent == -127) {
    exponent = -126;
    while (mantissa < 0x00800000) {
      mantissa <<= 1;
      --exponent;
    }
  } else {
    mantissa |= 0x00800000;
  }
  const int32_t above = exponent + 1;
  const auto whole = static_cast<uint32_t>(above > 0 ? above - 1 : -above);
  if (whole == 0) return exponent;
  const int high_bit = 31 - __builtin_clz(whole);
  return 0x01000000 - mantissa <= kRoundedUp[high_bit] ? above : exponent;
}

}  // namespace
}  // namespace qstore::scheme::ggml
