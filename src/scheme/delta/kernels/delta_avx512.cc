// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "scheme/delta/kernels/delta_loops.h"

namespace qstore::scheme {
namespace {

constexpr size_t kAtOnce = 32;

inline __m512i Below(__m512i floats, __m128i mantissa, __m512i top) {
  const __m512i magnitude = _mm512_and_si512(floats, _mm512_set1_epi16(0x7fff));
  const __m512i below = _mm512_subs_epu16(top, _mm512_srl_epi16(magnitude, mantissa));
  return _mm512_min_epu16(below, _mm512_set1_epi16(15));
}

void Contexts(const uint8_t* floats, size_t count, unsigned mantissa, unsigned top,
              const uint8_t* map, uint8_t* out) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(map)));
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(mantissa));
  const __m512i tops = _mm512_set1_epi16(static_cast<int16_t>(top));
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const __m512i below = Below(_mm512_loadu_si512(floats + 2 * i), shift, tops);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_shuffle_epi8(table, _mm512_cvtepi16_epi8(below)));
  }
  loops::Contexts(floats + 2 * i, count - i, mantissa, top, map, out + i);
}

void Apply(const uint8_t* floats, const uint8_t* symbols, size_t count, uint8_t* out) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  const __m512i sign = _mm512_set1_epi16(static_cast<int16_t>(0x8000));
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const __m512i symbol =
        _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols + i)));
    const __m512i from = _mm512_loadu_si512(floats + 2 * i);
    const __m512i step = _mm512_xor_si512(_mm512_srli_epi16(symbol, 1),
                                          _mm512_sub_epi16(zero, _mm512_and_si512(symbol, one)));
    const __m512i moved = _mm512_add_epi16(_mm512_and_si512(from, magnitude), step);
    const __m512i signs = _mm512_and_si512(_mm512_xor_si512(from, moved), sign);
    const __m512i turned = _mm512_xor_si512(moved, _mm512_srai_epi16(moved, 15));
    _mm512_storeu_si512(out + 2 * i, _mm512_or_si512(turned, signs));
  }
  loops::Apply(floats + 2 * i, symbols + i, count - i, out + 2 * i);
}

}  // namespace

const DeltaKernels kAvx512Delta = {Contexts, Apply, loops::Steps};

}  // namespace qstore::scheme
