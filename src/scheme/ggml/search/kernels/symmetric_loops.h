// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/lanes.h"

// Scales of groups of weights. docs/format-ggml.md, "Symmetric search" and "Search by turns".

namespace qstore::scheme::ggml {
namespace {

// Below it a group counts as one of zeros.
constexpr float kLeastSize = 1e-15f;

struct Largest {
  Floats value;
  Ints is_none;  // The group counts as zeros.
  Ints is_odd;   // It has numbers that are not finite.
};

template <size_t kElems>
inline Largest FindLargest(const float* weights) {
  Floats size = All(0);
  Largest largest{All(0), {}, {}};
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats a = Abs(x);
    const Ints is_larger = a > size;
    size = Select(is_larger, a, size);
    largest.value = Select(is_larger, x, largest.value);
    largest.is_odd = largest.is_odd | ~(a < All(__builtin_inff()));
  }
  largest.is_none = size < All(kLeastSize);
  return largest;
}

struct SymmetricFound {
  Floats scale;
  Floats factor;  // Codes are near(factor * x).
  Ints is_none;
};

struct SymmetricSums {
  Floats p, q;
};

// `products`: of weights with those of errors.
template <size_t kElems, bool kAny>
inline SymmetricSums SumSymmetric(float top, const float* weights, const float* errors,
                                  const float* products, const Floats& factor) {
  SymmetricSums sums{All(0), All(0)};
  for (size_t i = 0; i < kElems; ++i) {
    const Floats code = Near<kAny>(factor * Load(weights + i * kLanes), -top, top - 1);
    sums.p = sums.p + Load(products + i * kLanes) * code;
    sums.q = sums.q + Load(errors + i * kLanes) * code * code;
  }
  return sums;
}

template <size_t kElems, bool kAny>
inline SymmetricFound TrySymmetric(float top, const float* weights, const float* errors,
                                   const float* products, const Largest& largest) {
  const Floats zero = All(0);
  SymmetricFound found{zero, All(-top) / largest.value, largest.is_none};
  const SymmetricSums first =
      SumSymmetric<kElems, kAny>(top, weights, errors, products, found.factor);
  found.scale = Select(first.q != zero, first.p / first.q, zero);
  Floats best = found.scale * first.p;
  for (int k = -9; k <= 9; ++k) {
    if (k == 0) continue;
    const Floats factor = All(-(top + 0.1f * static_cast<float>(k))) / largest.value;
    const SymmetricSums sums = SumSymmetric<kElems, kAny>(top, weights, errors, products, factor);
    const Ints is_better = (sums.q > zero) & (sums.p * sums.p > best * sums.q);
    const Floats scale = sums.p / sums.q;
    found.scale = Select(is_better, scale, found.scale);
    found.factor = Select(is_better, factor, found.factor);
    best = Select(is_better, scale * sums.p, best);
  }
  found.scale = Select(found.is_none, zero, found.scale);
  return found;
}

template <size_t kElems>
inline SymmetricFound SearchSymmetric(float top, const float* weights, const float* errors,
                                      float* products) {
  for (size_t i = 0; i < kElems * kLanes; ++i) products[i] = errors[i] * weights[i];
  const Largest largest = FindLargest<kElems>(weights);
  if (Any(largest.is_odd)) {
    return TrySymmetric<kElems, true>(top, weights, errors, products, largest);
  }
  return TrySymmetric<kElems, false>(top, weights, errors, products, largest);
}

// Codes change one by one; whether one did in any lane.
template <size_t kElems>
inline bool TakeTurn(float top, const float* weights, float* codes, SymmetricSums* sums) {
  const Floats zero = All(0);
  Ints is_changed{};
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats code = Load(codes + i * kLanes);
    const Floats u = x * x;
    const Floats rest_p = sums->p - u * x * code;
    const Floats rest_q = sums->q - u * code * code;
    const Floats next = Near<true>(x * rest_q / rest_p, -top, top - 1);
    const Floats p = rest_p + u * x * next;
    const Floats q = rest_q + u * next * next;
    const Ints is_better =
        (rest_p > zero) & (next != code) & (q > zero) & (p * p * sums->q > sums->p * sums->p * q);
    Store(Select(is_better, next, code), codes + i * kLanes);
    sums->p = Select(is_better, p, sums->p);
    sums->q = Select(is_better, q, sums->q);
    is_changed = is_changed | is_better;
  }
  return Any(is_changed);
}

// Codes from -top to top - 1; of groups of zeros -top. The scales.
template <size_t kElems>
inline Floats SearchByTurns(float top, const float* weights, float* codes) {
  const Floats zero = All(0);
  const Largest largest = FindLargest<kElems>(weights);
  const Floats factor = All(-top) / largest.value;
  SymmetricSums sums{zero, zero};
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats code = Near<true>(factor * x, -top, top - 1);
    Store(code, codes + i * kLanes);
    const Floats u = x * x;
    sums.p = sums.p + u * x * code;
    sums.q = sums.q + u * code * code;
  }
  constexpr int kTurns = 5;
  for (int turn = 0; turn < kTurns; ++turn) {
    if (!TakeTurn<kElems>(top, weights, codes, &sums)) break;
  }
  for (size_t i = 0; i < kElems; ++i) {
    const Floats code = Load(codes + i * kLanes);
    Store(Select(largest.is_none, All(-top), code), codes + i * kLanes);
  }
  return Select((sums.q > zero) & ~largest.is_none, sums.p / sums.q, zero);
}

}  // namespace
}  // namespace qstore::scheme::ggml
