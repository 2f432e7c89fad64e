// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstddef>

#include "codec/kernels/kernels.h"

// What the AVX-512 kernels of BF16 residuals of both directions share; internal linkage, as in
// vector_loops.h. Needs AVX-512 F, BW and VL.

namespace qstore::codec {
namespace {

constexpr size_t kMostWidth = 7;  // Low fields are shorter than a byte.
constexpr unsigned kMantissa = 7;

inline __m512i OddWords() {
  return _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29,
                          27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
}

// To nearest, ties to even: words of BF16 from floats, the first 16 in `a`.
inline __m512i RoundToBf16(__m512 a, __m512 b) {
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i odd = OddWords();
  const __m512i kept =
      _mm512_permutex2var_epi16(_mm512_castps_si512(a), odd, _mm512_castps_si512(b));
  const __m512i cut = _mm512_permutex2var_epi16(_mm512_castps_si512(a), _mm512_sub_epi16(odd, one),
                                                _mm512_castps_si512(b));
  // Up where what is cut off exceeds a half, or is one and what is kept is odd.
  const __m512i over = _mm512_adds_epu16(cut, _mm512_and_si512(kept, one));
  const __mmask32 up = _mm512_cmpgt_epu16_mask(over, _mm512_set1_epi16(-0x8000));
  return _mm512_mask_add_epi16(kept, up, kept, one);
}

/// What a run's integers predict.
class Predictor {
 public:
  explicit Predictor(const ResidualRun& run)
      : scale_(_mm512_set1_ps(run.scale)), zero_(_mm512_set1_epi32(run.zero)) {}

  // Patterns of 32 integers, of which the lanes are loaded.
  __m512i Patterns(const uint8_t* q, __mmask32 lanes) const {
    return RoundToBf16(Products(q, static_cast<__mmask16>(lanes)),
                       Products(q + 16, static_cast<__mmask16>(lanes >> 16)));
  }

 private:
  __m512 Products(const uint8_t* q, __mmask16 lanes) const {
    const __m128i bytes = _mm_maskz_loadu_epi8(lanes, q);
    const __m512i steps = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), zero_);
    return _mm512_mul_ps(scale_, _mm512_cvtepi32_ps(steps));
  }

  __m512 scale_;
  __m512i zero_;
};

}  // namespace
}  // namespace qstore::codec
