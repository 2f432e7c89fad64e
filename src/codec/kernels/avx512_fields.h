// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

// Fields of a bit stream that differ in width, 64 at a time, in AVX-512 registers; internal
// linkage, as in vector_loops.h. Needs AVX-512 F, BW, DQ, VL, VBMI and VBMI2. What counts in loops
// that use this is how often they need port 5 of an Intel core.

namespace qstore::codec {
namespace {

// A constant that compilers are not to make anew in each step.
inline __m512i Kept(__m512i constant) {
  asm("" : "+v"(constant));
  return constant;
}

// 2^width - 1 of every byte, widths being at most 7.
inline __m512i Ones(__m512i width) {
  const __m512i ones = _mm512_set1_epi64(0x7f3f1f0f07030100);
  return _mm512_shuffle_epi8(ones, width);
}

// Fields of the widths given, one after another from bit `position` on, each in a byte of its own,
// with what follows it above. `stream` has the 64 bytes from that bit's on. Adds the sum of widths
// to `position`.
inline __m512i TakeFields(__m512i stream, __m512i width, uint64_t* position) {
  const __m512i zero = _mm512_setzero_si512();
  // Every lane has the sums of all eight lanes, a byte each; of them it adds up those before it.
  const __m512i sums =
      _mm512_permutexvar_epi8(_mm512_set1_epi64(0x3830282018100800), _mm512_sad_epu8(width, zero));
  // Before the first lane there is nothing to add: it adds up all.
  const __m512i summed = _mm512_set_epi64(0xffffffffffffff, 0xffffffffffff, 0xffffffffff,
                                          0xffffffff, 0xffffff, 0xffff, 0xff, -1);
  const __m512i before = _mm512_sad_epu8(_mm512_and_si512(sums, summed), zero);
  const __m512i phase = _mm512_set1_epi64(static_cast<long long>(*position & 7));
  const __m512i begin = _mm512_mask_add_epi64(phase, 0xfe, phase, before);
  const __m512i bytes_of_lane =
      _mm512_add_epi8(_mm512_multishift_epi64_epi8(Kept(_mm512_set1_epi8(3)), begin),  // begin / 8
                      _mm512_set1_epi64(0x0706050403020100));
  const __m512i window = _mm512_permutexvar_epi8(bytes_of_lane, stream);
  // In every byte, the bits in its window before it: begin % 8 and the widths below, a | (b & c).
  const __m512i summands = _mm512_ternarylogic_epi64(_mm512_slli_epi64(width, 8), begin,
                                                     Kept(_mm512_set1_epi64(7)), 0xf8);
  const __m512i bit = _mm512_mullo_epi64(summands, _mm512_set1_epi64(0x0101010101010101));
  *position += static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(before)));
  return _mm512_multishift_epi64_epi8(bit, window);
}

}  // namespace
}  // namespace qstore::codec
