// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "scheme/ggml/kernels/grid_kernels.h"

namespace qstore::scheme::ggml {
namespace {

constexpr size_t kRun = 16;

// 1.5 * 2^23: floats from there on are whole, and the low bits of such a sum are the number.
constexpr float kWhole = 12582912.0f;
constexpr uint32_t kWholeBits = 0x4B400000;

// Weights whose codes are words before they become bytes: two loops of one width each are vectors,
// one of both widths is not.
constexpr size_t kAtOnce = 1024;

void SumsOfRun(const float* __restrict weights, float step, float offset, float low, float high,
               float* __restrict sums) {
  for (size_t i = 0; i < kRun; ++i) {
    const float value = (weights[i] - offset) / step;
    const float above = value > low ? value : low;
    sums[i] = (above < high ? above : high) + kWhole;
  }
}

// `added` is the bias, less the bits of kWhole.
void CodesOfSums(const float* __restrict sums, size_t count, uint32_t added,
                 uint8_t* __restrict codes) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, sums + i, sizeof(bits));
    codes[i] = static_cast<uint8_t>(bits + added);
  }
}

void Nearest(const GridRun& run, uint8_t* codes) {
  const float low = run.low;
  const float high = run.high;
  const uint32_t added = static_cast<uint32_t>(run.bias) - kWholeBits;
  alignas(64) float sums[kAtOnce];
  const size_t most = kAtOnce / run.per_sub;
  for (size_t first = 0; first < run.subs; first += most) {
    const size_t end = first + most < run.subs ? first + most : run.subs;
    uint8_t* to = codes + first * run.per_sub;
    float* at = sums;
    for (size_t k = first; k < end; ++k) {
      const float step = run.steps[k];
      const float offset = run.offsets == nullptr ? 0.0f : run.offsets[k];
      const float* weights = run.weights + k * run.per_sub;
      for (size_t i = 0; i < run.per_sub; i += kRun, at += kRun) {
        SumsOfRun(weights + i, step, offset, low, high, at);
      }
    }
    CodesOfSums(sums, (end - first) * run.per_sub, added, to);
    for (size_t k = first; k < end; ++k) {
      const bool is_step = run.steps[k] < 0.0f || run.steps[k] > 0.0f;
      if (!is_step) std::memset(codes + k * run.per_sub, 0, run.per_sub);
    }
  }
}

void FromBf16(const uint8_t* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t pattern;
    std::memcpy(&pattern, in + 2 * i, sizeof(pattern));
    const uint32_t bits = static_cast<uint32_t>(pattern) << 16;
    std::memcpy(out + i, &bits, sizeof(bits));
  }
}

constexpr GridKernels kGridLoops = {Nearest, FromBf16};

}  // namespace
}  // namespace qstore::scheme::ggml
