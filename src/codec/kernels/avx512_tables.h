// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "codec/kernels/kernels.h"

// What the AVX-512 bin kernels of both directions share; internal linkage, as in vector_loops.h.

namespace qstore::codec {
namespace {

constexpr size_t kRun = 32;  // weights that a step of most bin kernels takes

// Asks for two lines some way ahead of the place that is written next: a chunk's memory was cleared
// as part of a huge page, which has left the nearer caches.
inline void FetchAhead(uint8_t* out) {
  constexpr size_t kAhead = 2048;
  __builtin_prefetch(out + kAhead, 1);
  __builtin_prefetch(out + kAhead + 64, 1);
}

// A table of 128 words in registers.
struct WordTable {
  __m512i part[4];
  explicit WordTable(const uint16_t* words) {
    for (int i = 0; i < 4; ++i) part[i] = _mm512_loadu_si512(words + 32 * i);
  }
  __m512i Look(__m512i index, __mmask32 upper) const {
    const __m512i a = _mm512_permutex2var_epi16(part[0], index, part[1]);
    const __m512i b = _mm512_permutex2var_epi16(part[2], index, part[3]);
    return _mm512_mask_mov_epi16(a, upper, b);
  }
};

// Magnitudes from (first + index) << shift, signs from the words of q; words of wide bins are the
// next ones of `wide`, of which it reads kWideSlack bytes.
inline __m512i Finish(__m512i value, __m512i first, __m512i index, __m128i shift,
                      WideCursor* wide) {
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  const __mmask32 is_wide = _mm512_cmpeq_epi16_mask(first, magnitude);
  const size_t at = wide->used < wide->count ? wide->used : wide->count;
  const __m512i values = _mm512_loadu_si512(wide->values + 2 * at);
  const __m512i shifted = _mm512_sll_epi16(_mm512_add_epi16(first, index), shift);
  const __m512i pattern = _mm512_ternarylogic_epi32(magnitude, shifted, value, 0xca);
  wide->used += static_cast<size_t>(_mm_popcnt_u32(is_wide));
  return _mm512_mask_expand_epi16(pattern, is_wide, values);
}

}  // namespace
}  // namespace qstore::codec
