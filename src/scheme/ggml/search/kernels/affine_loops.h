// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/lanes.h"

// Scales and floors of groups of weights. docs/format-ggml.md, "Affine search".

namespace qstore::scheme::ggml {
namespace {

struct AffineRule {
  float top;
  float first;
  float step;
  int last;
};

// That of all types with importance.
constexpr AffineRule ImportanceRule(int32_t top) {
  return {static_cast<float>(top), -0.9f, 0.05f, 36};
}

struct AffineFound {
  Floats scale;
  Floats floor;
  Floats factor;  // Codes are near(factor * (x - offset)).
  Floats offset;
  Floats sum;  // Of the weights of errors.
};

template <bool kAbsolute>
inline Floats Deviation(const Floats& d) {
  if constexpr (kAbsolute) return Abs(d);
  return d * d;
}

struct AffineSums {
  Floats u, x;
  Floats low, high;
  Ints is_odd;  // Lanes with numbers that are not finite.
};

template <size_t kElems>
inline AffineSums SumAffine(const float* weights, const float* errors) {
  const Floats infinity = All(__builtin_inff());
  const Floats first = Load(weights);
  AffineSums sums{Load(errors), Load(errors) * first, first, first, ~(Abs(first) < infinity)};
  for (size_t i = 1; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats u = Load(errors + i * kLanes);
    sums.low = Min(x, sums.low);
    sums.high = Max(x, sums.high);
    sums.u = sums.u + u;
    sums.x = sums.x + u * x;
    sums.is_odd = sums.is_odd | ~(Abs(x) < infinity);
  }
  return sums;
}

template <size_t kElems, bool kAbsolute, bool kAny>
inline Floats FirstError(const AffineRule& rule, const float* weights, const float* errors,
                         const AffineFound& found) {
  Floats error = All(0);
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats code = Near<kAny>(found.factor * (x - found.offset), 0, rule.top);
    const Floats d = found.scale * code + found.floor - x;
    error = error + Load(errors + i * kLanes) * Deviation<kAbsolute>(d);
  }
  return error;
}

// One factor: whether it, with what fits its codes best, is better than what was found.
template <size_t kElems, bool kAbsolute, bool kAny>
inline void TryFactor(const AffineRule& rule, const float* weights, const float* errors,
                      const AffineSums& sums, const Floats& factor, float* codes, Floats* error,
                      AffineFound* found) {
  const Floats zero = All(0);
  const Floats offset = found->floor;
  Floats l = zero, q = zero, p = zero;
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats code = Near<kAny>(factor * (x - offset), 0, rule.top);
    Store(code, codes + i * kLanes);
    const Floats uc = Load(errors + i * kLanes) * code;
    l = l + uc;
    q = q + uc * code;
    p = p + uc * x;
  }
  const Floats d = sums.u * q - l * l;
  Floats scale = (sums.u * p - sums.x * l) / d;
  Floats floor = (q * sums.x - l * p) / d;
  const Ints is_above = floor > zero;
  floor = Select(is_above, zero, floor);
  scale = Select(is_above, p / q, scale);
  Floats e = zero;
  for (size_t i = 0; i < kElems; ++i) {
    const Floats t = scale * Load(codes + i * kLanes) + floor - Load(weights + i * kLanes);
    e = e + Load(errors + i * kLanes) * Deviation<kAbsolute>(t);
  }
  const Ints is_better = (d > zero) & (e < *error);
  *error = Select(is_better, e, *error);
  found->scale = Select(is_better, scale, found->scale);
  found->floor = Select(is_better, floor, found->floor);
  found->factor = Select(is_better, factor, found->factor);
  found->offset = Select(is_better, offset, found->offset);
}

// Lanes for which the steps of floats do not do are returned; none with `kAny`.
template <size_t kElems, bool kAbsolute, bool kAny>
inline Ints TryAffine(const AffineRule& rule, const float* weights, const float* errors,
                      float* codes, AffineFound* found) {
  const Floats zero = All(0);
  const AffineSums sums = SumAffine<kElems>(weights, errors);
  const Floats floor = Select(sums.low > zero, zero, sums.low);
  const Ints is_flat = sums.high == floor;
  Ints is_odd = sums.is_odd;
  const auto look_at = [&](const Floats& factor, const Floats& offset) {
    is_odd = is_odd | IsBeyondNear(factor * (sums.low - offset)) |
             IsBeyondNear(factor * (sums.high - offset));
  };
  const Floats factor = All(rule.top) / (sums.high - floor);
  *found = {All(1) / factor, floor, factor, floor, sums.u};
  look_at(factor, floor);
  Floats error = FirstError<kElems, kAbsolute, kAny>(rule, weights, errors, *found);
  for (int k = 0; k <= rule.last; ++k) {
    const float top = rule.first + rule.step * static_cast<float>(k) + rule.top;
    const Floats next = All(top) / (sums.high - found->floor);
    look_at(next, found->floor);
    TryFactor<kElems, kAbsolute, kAny>(rule, weights, errors, sums, next, codes, &error, found);
  }
  found->scale = Select(is_flat, zero, found->scale);
  found->floor = Select(is_flat, floor, found->floor);
  found->factor = Select(is_flat, zero, found->factor);
  return is_odd & ~is_flat;
}

template <size_t kElems, bool kAbsolute = false>
inline AffineFound SearchAffine(const AffineRule& rule, const float* weights, const float* errors,
                                float* codes) {
  AffineFound found;
  if (Any(TryAffine<kElems, kAbsolute, false>(rule, weights, errors, codes, &found))) {
    TryAffine<kElems, kAbsolute, true>(rule, weights, errors, codes, &found);
  }
  return found;
}

}  // namespace
}  // namespace qstore::scheme::ggml
