// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/lanes.h"
#include "scheme/ggml/search/kernels/symmetric_loops.h"

// Levels of the scales of blocks, one block a lane. docs/format-ggml.md, "Search of levels".

namespace qstore::scheme::ggml {
namespace {

template <bool kIsByte>
inline Floats LevelError(float top, size_t groups, const float* values, const float* errors,
                         const Floats& factor) {
  const Floats unit = All(1) / factor;
  Floats error = All(0);
  for (size_t i = 0; i < groups; ++i) {
    const Floats x = Load(values + i * kLanes);
    const Floats near = Near(factor * x);
    const Floats d = x - unit * (kIsByte ? Byte(near) : Min(near, All(top)));
    error = error + Load(errors + i * kLanes) * d * d;
  }
  return error;
}

inline Floats BestLevelFactor(float top, size_t groups, const float* values, const float* errors,
                              const Floats& most) {
  Floats best = All(top) / most;
  Floats error = LevelError<true>(top, groups, values, errors, best);
  for (int k = -4; k <= 4; ++k) {
    if (k == 0) continue;
    const Floats factor = All(0.1f * static_cast<float>(k) + top) / most;
    const Floats next = LevelError<false>(top, groups, values, errors, factor);
    const Ints is_better = next < error;
    error = Select(is_better, next, error);
    best = Select(is_better, factor, best);
  }
  return best;
}

inline bool TakeLevelTurn(float top, size_t groups, const float* values, const float* errors,
                          float* levels, SymmetricSums* sums) {
  const Floats zero = All(0);
  Ints is_changed{};
  for (size_t i = 0; i < groups; ++i) {
    const Floats x = Load(values + i * kLanes);
    const Floats u = Load(errors + i * kLanes);
    const Floats level = Load(levels + i * kLanes);
    const Floats rest_p = sums->p - u * x * level;
    const Floats rest_q = sums->q - u * level * level;
    const Floats next = Min(Near(x * rest_q / rest_p), All(top));
    const Floats p = rest_p + u * x * next;
    const Floats q = rest_q + u * next * next;
    const Ints is_better = (rest_p > zero) & (rest_q > zero) & (next != level) &
                           (p * p * sums->q > sums->p * sums->p * q);
    Store(Select(is_better, Byte(next), level), levels + i * kLanes);
    sums->p = Select(is_better, p, sums->p);
    sums->q = Select(is_better, q, sums->q);
    is_changed = is_changed | is_better;
  }
  return Any(is_changed);
}

// The scales; `levels` get bytes.
inline Floats SearchLevels(float top, size_t groups, const float* values, const float* errors,
                           float* levels) {
  const Floats zero = All(0);
  Floats most = zero;
  for (size_t i = 0; i < groups; ++i) most = Max(most, Load(values + i * kLanes));
  const Ints is_none = most < All(kLeastSize);
  const Floats factor = BestLevelFactor(top, groups, values, errors, most);
  SymmetricSums sums{zero, zero};
  for (size_t i = 0; i < groups; ++i) {
    const Floats x = Load(values + i * kLanes);
    const Floats u = Load(errors + i * kLanes);
    const Floats level = Min(Near(factor * x), All(top));
    Store(Byte(level), levels + i * kLanes);
    sums.p = sums.p + u * x * level;
    sums.q = sums.q + u * level * level;
  }
  constexpr int kTurns = 5;
  for (int turn = 0; turn < kTurns; ++turn) {
    if (!TakeLevelTurn(top, groups, values, errors, levels, &sums)) break;
  }
  for (size_t i = 0; i < groups; ++i) {
    Store(Select(is_none, zero, Load(levels + i * kLanes)), levels + i * kLanes);
  }
  return Select((sums.q > zero) & ~is_none, sums.p / sums.q, zero);
}

}  // namespace
}  // namespace qstore::scheme::ggml
