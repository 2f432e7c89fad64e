// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "codec/kernels/integer_loops.h"
#include "codec/kernels/internal.h"

// Needs AVX-512 F, BW, DQ and VL. The decoder of integers that others predict: 64 a step.

namespace qstore::codec {
namespace {

constexpr size_t kStep = 64;

// 16 integers, 32 bits each.
__m512i Widened(const uint8_t* at) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// How far 16 predictions are from their zero points. What is beyond 32 bits, or no number, becomes
// the lowest number, which is as good: sums are limited.
__m512i Moved(const uint8_t* parent, const uint8_t* parent_zero, const float* ratio) {
  const __m512i steps = _mm512_sub_epi32(Widened(parent), Widened(parent_zero));
  const __m512 moved = _mm512_mul_ps(_mm512_loadu_ps(ratio), _mm512_cvtepi32_ps(steps));
  const __m512 limited = _mm512_min_ps(_mm512_set1_ps(65536.0f), moved);
  return _mm512_cvt_roundps_epi32(limited, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// Four by four groups of four bytes, rows to columns.
__m512i Transposed(__m512i bytes) {
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  return _mm512_permutexvar_epi32(order, bytes);
}

// Predictions. On their way they lie in every 128-bit lane as four of each of four vectors of
// Moved.
__m512i Predict(const uint8_t* parent, const IntegerRun& run, size_t at) {
  const auto moved = [&](size_t k) {
    return Moved(parent + at + k, run.parent_zero + at + k, run.ratio + at + k);
  };
  const __m512i zero = Transposed(_mm512_loadu_si512(run.zero + at));
  const __m512i none = _mm512_setzero_si512();
  // Sums that are limited to 16 bits are limited to 8 all the same.
  const __m512i lower =
      _mm512_adds_epi16(_mm512_packs_epi32(moved(0), moved(16)), _mm512_unpacklo_epi8(zero, none));
  const __m512i upper =
      _mm512_adds_epi16(_mm512_packs_epi32(moved(32), moved(48)), _mm512_unpackhi_epi8(zero, none));
  return Transposed(_mm512_packus_epi16(lower, upper));
}

}  // namespace

namespace avx512 {

void IntegerResidual(const uint8_t* parent, const uint8_t* nibbles, const uint8_t* low,
                     size_t count, const IntegerRun* run, uint8_t* q) {
  const __m512i most = _mm512_set1_epi8(static_cast<char>((1u << run->bits) - 1));
  const __m512i middle = _mm512_set1_epi8(static_cast<char>(8u << run->width));
  const __m128i width = _mm_cvtsi32_si128(static_cast<int>(run->width));
  size_t done = 0;
  for (; done + kStep <= count; done += kStep) {
    const __m512i predicted = _mm512_min_epu8(Predict(parent, *run, done), most);
    // No bit leaves its byte.
    const __m512i shifted = _mm512_sll_epi16(_mm512_loadu_si512(nibbles + done), width);
    const __m512i high = _mm512_sub_epi8(shifted, middle);
    const __m512i residual = _mm512_add_epi8(high, _mm512_loadu_si512(low + done));
    _mm512_storeu_si512(q + done, _mm512_and_si512(_mm512_add_epi8(predicted, residual), most));
  }
  const IntegerRun rest = {run->ratio + done, run->parent_zero + done, run->zero + done, run->bits,
                           run->width};
  loops::IntegerResidual(parent + done, nibbles + done, low + done, count - done, &rest, q + done);
}

}  // namespace avx512
}  // namespace qstore::codec
