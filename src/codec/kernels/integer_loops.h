// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/kernels/kernels.h"
#include "codec/kernels/residual_loops.h"

// Integers given those of a parent, compiled anew as residual_loops.h is. docs/format-coding.md,
// "GPTQ integers".

namespace qstore::codec {
namespace {

namespace loops {

// The integer of `bits` bits that the parent's integer k steps above its zero point leads to.
inline int32_t PredictInteger(int32_t steps, float ratio, int32_t zero, int32_t most) {
  constexpr float kRounding = 12582912.0f;  // 1.5 * 2^23: what is added to it rounds to integers.
  constexpr float kFar = 65536.0f;
  float moved = ratio * static_cast<float>(steps);
  moved = moved > -kFar ? moved : -kFar;
  moved = moved < kFar ? moved : kFar;
  const auto rounded =
      static_cast<int32_t>(FloatBits(moved + kRounding)) - static_cast<int32_t>(0x4b400000);
  const int32_t predicted = zero + rounded;
  const int32_t floored = predicted > 0 ? predicted : 0;
  return floored < most ? floored : most;
}

inline void IntegerResidual(const uint8_t* __restrict parent, const uint8_t* __restrict nibbles,
                            const uint8_t* __restrict low, size_t count, const IntegerRun* run,
                            uint8_t* __restrict q) {
  const float* __restrict ratio = run->ratio;
  const uint8_t* __restrict parent_zero = run->parent_zero;
  const uint8_t* __restrict zero = run->zero;
  const auto most = static_cast<int32_t>((1u << run->bits) - 1);
  const auto unit = static_cast<int32_t>(1u << run->width);
  for (size_t i = 0; i < count; ++i) {
    const int32_t predicted = PredictInteger(parent[i] - parent_zero[i], ratio[i], zero[i], most);
    q[i] = static_cast<uint8_t>((predicted + (nibbles[i] - 8) * unit + low[i]) & most);
  }
}

// Only the prediction needs lanes of 32 bits: all that follows is done in bytes.
inline void IntegerDifferences(const uint8_t* __restrict parent, const uint8_t* __restrict q,
                               size_t count, const IntegerRun* run, uint8_t* __restrict out) {
  const float* __restrict ratio = run->ratio;
  const uint8_t* __restrict parent_zero = run->parent_zero;
  const uint8_t* __restrict zero = run->zero;
  const auto most = static_cast<int32_t>((1u << run->bits) - 1);
  const auto mask = static_cast<uint8_t>(most);
  const auto sign = static_cast<uint8_t>(1u << (run->bits - 1));
  for (size_t i = 0; i < count; ++i) {
    out[i] =
        static_cast<uint8_t>(PredictInteger(parent[i] - parent_zero[i], ratio[i], zero[i], most));
  }
  for (size_t i = 0; i < count; ++i) {
    const auto modulo = static_cast<uint8_t>((q[i] - out[i]) & mask);
    out[i] = static_cast<uint8_t>((modulo ^ sign) - sign);
  }
}

// Shifts by a constant stay within bytes.
template <unsigned kWidth>
void SplitDifferences(const uint8_t* __restrict differences, size_t count,
                      uint8_t* __restrict nibbles, uint8_t* __restrict low,
                      uint8_t* __restrict listed) {
  constexpr uint8_t kZero = 8u << kWidth;
  constexpr uint8_t kMost = (16u << kWidth) - 1;
  for (size_t i = 0; i < count; ++i) {
    // A difference is of 8 bits: none that is too far off comes round to what fits.
    const auto moved = static_cast<uint8_t>(differences[i] + kZero);
    const auto is_listed = static_cast<uint8_t>(moved > kMost ? 1 : 0);
    const uint8_t kept = is_listed != 0 ? kZero : moved;
    nibbles[i] = kept >> kWidth;
    low[i] = kept & ((1u << kWidth) - 1);
    listed[i] = is_listed;
  }
}

inline void PutIntegerResidual(const uint8_t* parent, const uint8_t* q, size_t count,
                               const IntegerRun* run, uint8_t* nibbles, uint8_t* low,
                               uint8_t* listed) {
  constexpr decltype(&SplitDifferences<0>) kSplit[] = {SplitDifferences<0>, SplitDifferences<1>,
                                                       SplitDifferences<2>, SplitDifferences<3>,
                                                       SplitDifferences<4>};
  uint8_t differences[kResidualBlock];
  for (size_t i = 0; i < count; i += kResidualBlock) {
    const size_t n = count - i < kResidualBlock ? count - i : kResidualBlock;
    const IntegerRun rest{run->ratio + i, run->parent_zero + i, run->zero + i, run->bits,
                          run->width};
    IntegerDifferences(parent + i, q + i, n, &rest, differences);
    kSplit[run->width](differences, n, nibbles + i, low + i, listed + i);
  }
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
