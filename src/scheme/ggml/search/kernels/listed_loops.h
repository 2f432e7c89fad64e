// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/lanes.h"
#include "scheme/ggml/search/kernels/symmetric_loops.h"

// Scales of groups whose codes stand for the numbers of a list. docs/format-ggml.md, "Listed
// search".

namespace qstore::scheme::ggml {
namespace {

constexpr size_t kListed = 16;
constexpr float kList[kListed] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

// The least number that is nearer to that of code k than to the one before it, or as near.
constexpr float Midpoint(size_t k) { return (kList[k - 1] + kList[k]) / 2; }

#if defined(__AVX2__) && !defined(__AVX512F__)
// Eight numbers, to be found by the low three bits of a negative place.
template <size_t kFirst, size_t kStep, bool kIsMidpoint>
inline FloatPart Table8() {
  constexpr auto at = [](size_t j) {
    const size_t k = (kFirst + kStep * j) % kListed;
    return kIsMidpoint ? Midpoint(k == 0 ? 1 : k) : kList[k];
  };
  return FloatPart{at(0), at(7), at(6), at(5), at(4), at(3), at(2), at(1)};
}

inline FloatPart TakeFrom(FloatPart table, IntPart place) {
  return _mm256_permutevar8x32_ps(table, reinterpret_cast<__m256i>(place));
}

// The number of a code is found in four halvings; a place is minus the halves that were passed.
inline FloatPart ListedPart(FloatPart a) {
  const FloatPart middle = FloatPart{} + Midpoint(8);
  const IntPart is_high = ~(a < middle);
  const FloatPart quarter = is_high ? FloatPart{} + Midpoint(12) : FloatPart{} + Midpoint(4);
  IntPart place = is_high + is_high + ~(a < quarter);
  place += place + ~(a < TakeFrom(Table8<2, 4, true>(), place));
  place += place + ~(a < TakeFrom(Table8<1, 2, true>(), place));
  return is_high ? TakeFrom(Table8<8, 1, false>(), place) : TakeFrom(Table8<0, 1, false>(), place);
}
#else
inline FloatPart ListedPart(FloatPart a) {
  IntPart number = IntPart{} + static_cast<int32_t>(kList[kListed - 1]);
  for (size_t k = 1; k < kListed; ++k) {
    number -= (a < Midpoint(k)) & static_cast<int32_t>(kList[k] - kList[k - 1]);
  }
  return __builtin_convertvector(number, FloatPart);
}
#endif

// The numbers of the list that are nearest.
inline Floats Listed(const Floats& a) { return {ListedPart(a.low), ListedPart(a.high)}; }

template <size_t kElems>
inline SymmetricSums SumListed(const float* weights, const float* errors, const Floats& factor) {
  SymmetricSums sums{All(0), All(0)};
  for (size_t i = 0; i < kElems; ++i) {
    const Floats x = Load(weights + i * kLanes);
    const Floats number = Listed(factor * x);
    const Floats product = Load(errors + i * kLanes) * number;
    sums.p = sums.p + product * x;
    sums.q = sums.q + product * number;
  }
  return sums;
}

template <size_t kElems>
inline Floats SearchListed(const float* weights, const float* errors) {
  const Floats zero = All(0);
  const Largest largest = FindLargest<kElems>(weights);
  const Floats factor = All(1) / (-largest.value / All(kList[0]));
  const SymmetricSums first = SumListed<kElems>(weights, errors, factor);
  Floats scale = Select(first.q > zero, first.p / first.q, zero);
  Floats best = scale * first.p;
  constexpr int kTries = 7;
  for (int k = -kTries; k <= kTries; ++k) {
    const Floats next = All(static_cast<float>(k) + kList[0]) / largest.value;
    const SymmetricSums sums = SumListed<kElems>(weights, errors, next);
    const Ints is_better = (sums.q > zero) & (sums.p * sums.p > best * sums.q);
    scale = Select(is_better, sums.p / sums.q, scale);
    best = Select(is_better, scale * sums.p, best);
  }
  return Select(largest.is_none, zero, scale);
}

// Codes of a group of 32.
inline void CodeListed(const float* weights, float factor, uint8_t* codes) {
  int32_t places[32];
  for (size_t i = 0; i < 32; ++i) {
    const float a = factor * weights[i];
    int32_t place = kListed - 1;
    for (size_t k = 1; k < kListed; ++k) place -= static_cast<int32_t>(a < Midpoint(k));
    places[i] = place;
  }
  for (size_t i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(places[i]);
}

}  // namespace
}  // namespace qstore::scheme::ggml
