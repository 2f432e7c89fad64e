// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/half_loops.h"
#include "scheme/ggml/search/kernels/lanes.h"
#include "scheme/ggml/search/kernels/search_kernels.h"

// How groups of weights get into lanes, and what they become with the scales that are stored.

namespace qstore::scheme::ggml {
namespace {

static_assert(kLanes <= SearchScratch::kMaxLanes);

constexpr size_t kBlockWeights = 256;

// The numbers at `from` and at multiples of `stride` behind, one group a lane; lanes without a
// group have the last one.
template <size_t kElems>
inline void LoadLanes(const float* from, size_t stride, size_t groups, float* lanes) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const float* group = from + MinOf(lane, groups - 1) * stride;
    for (size_t i = 0; i < kElems; ++i) lanes[i * kLanes + lane] = group[i];
  }
}

// The same of what repeats after `period` numbers, from the group of that number on.
template <size_t kElems>
inline void LoadRepeated(const float* from, size_t period, size_t first, size_t groups,
                         float* lanes) {
  const size_t last = first + groups - 1;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const float* group = from + MinOf(first + lane, last) * kElems % period;
    for (size_t i = 0; i < kElems; ++i) lanes[i * kLanes + lane] = group[i];
  }
}

// Sums of squares of `count` weights each, `stride` after one another. `count`: a multiple of 32.
inline void SumSquares(const float* weights, size_t stride, size_t count, size_t groups,
                       float* lanes, float sums[kLanes]) {
  constexpr size_t kStrip = 32;
  Floats sum = All(0);
  for (size_t at = 0; at < count; at += kStrip) {
    LoadLanes<kStrip>(weights + at, stride, groups, lanes);
    for (size_t i = 0; i < kStrip; ++i) {
      const Floats x = Load(lanes + i * kLanes);
      sum = sum + x * x;
    }
  }
  Store(sum, sums);
}

// For each lane the number of its block, where the first lane has group `first` of the blocks.
inline Floats Spread(const float by_block[kLanes], size_t first, size_t groups_of_block) {
  alignas(64) float lanes[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    lanes[lane] = by_block[MinOf((first + lane) / groups_of_block, kLanes - 1)];
  }
  return Load(lanes);
}

// Multiplies importance by sqrt(sigma + x * x).
template <size_t kElems>
inline void WeighErrors(const float* weights, const Floats& sigma, float* errors) {
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    Store(Load(errors + i * kLanes) * Sqrt(sigma + x * x), errors + i * kLanes);
  }
}

template <size_t kElems>
inline void SquareErrors(const float* weights, float* errors) {
  for (size_t i = 0; i < kElems * kLanes; ++i) errors[i] = weights[i] * weights[i];
}

template <size_t kElems>
inline Floats SumErrors(const float* errors) {
  Floats sum = All(0);
  for (size_t i = 0; i < kElems; ++i) sum = sum + Load(errors + i * kLanes);
  return sum;
}

// The number of the largest size among the scales of a block, or 0.
inline float LargestScale(const float* scales, size_t groups) {
  float size = 0, largest = 0;
  for (size_t j = 0; j < groups; ++j) {
    if (__builtin_fabsf(scales[j]) > size) {
      size = __builtin_fabsf(scales[j]);
      largest = scales[j];
    }
  }
  return largest;
}

inline int32_t NearInt(float value) {
  const float shifted = value + kNearShift;
  const int32_t near = static_cast<int32_t>(BitsOf(shifted) & 0x007fffff) - kNearZero;
  return shifted == shifted ? near : 0;
}

inline int32_t NearInt(float value, int32_t least, int32_t most) {
  return MaxOf(least, MinOf(most, NearInt(value)));
}

// Codes of a group: near(factor * (x - offset)), from 0 to top.
template <size_t kElems>
inline void CodeByFactor(const float* weights, float factor, float offset, int32_t top,
                         uint8_t* codes) {
  if (factor == 0) {
    std::memset(codes, 0, kElems);
    return;
  }
  for (size_t i = 0; i < kElems; ++i) {
    codes[i] = static_cast<uint8_t>(NearInt(factor * (weights[i] - offset), 0, top));
  }
}

// Codes of a group: near(factor * x) plus `top`; of a group of zeros 0.
template <size_t kElems>
inline void CodeSymmetric(const float* weights, float factor, bool is_none, int32_t top,
                          uint8_t* codes) {
  for (size_t i = 0; i < kElems; ++i) {
    const int32_t code = NearInt(factor * weights[i], -top, top - 1) + top;
    codes[i] = is_none ? uint8_t{0} : static_cast<uint8_t>(code);
  }
}

// Codes of a group: near((x + minimum) / scale), within limits, plus `zero`.
template <size_t kElems>
inline void CodeByScale(const float* weights, float scale, float minimum, int32_t least,
                        int32_t most, int32_t zero, uint8_t* codes) {
  for (size_t i = 0; i < kElems; ++i) {
    const int32_t code = NearInt((weights[i] + minimum) / scale, least, most);
    codes[i] = static_cast<uint8_t>(code + zero);
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
