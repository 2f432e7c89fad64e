// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "scheme/delta/kernels/delta_loops.h"

namespace qstore::scheme {
namespace {

constexpr size_t kAtOnce = 32;

inline __m256i Load(const uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
inline void Store(uint8_t* at, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value);
}

// How far the exponents of 16 floats lie below the top.
inline __m256i Below(__m256i floats, __m128i mantissa, __m256i top) {
  const __m256i magnitude = _mm256_and_si256(floats, _mm256_set1_epi16(0x7fff));
  const __m256i below = _mm256_subs_epu16(top, _mm256_srl_epi16(magnitude, mantissa));
  return _mm256_min_epu16(below, _mm256_set1_epi16(15));
}

void Contexts(const uint8_t* floats, size_t count, unsigned mantissa, unsigned top,
              const uint8_t* map, uint8_t* out) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(map)));
  const __m128i shift = _mm_cvtsi32_si128(static_cast<int>(mantissa));
  const __m256i tops = _mm256_set1_epi16(static_cast<int16_t>(top));
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const __m256i first = Below(Load(floats + 2 * i), shift, tops);
    const __m256i second = Below(Load(floats + 2 * i + 32), shift, tops);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
    Store(out + i, _mm256_shuffle_epi8(table, bytes));
  }
  loops::Contexts(floats + 2 * i, count - i, mantissa, top, map, out + i);
}

inline __m256i Moved(__m256i from, __m256i symbols) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i odd = _mm256_and_si256(symbols, _mm256_set1_epi16(1));
  const __m256i step = _mm256_xor_si256(_mm256_srli_epi16(symbols, 1), _mm256_sub_epi16(zero, odd));
  const __m256i moved = _mm256_add_epi16(_mm256_and_si256(from, _mm256_set1_epi16(0x7fff)), step);
  const __m256i sign = _mm256_and_si256(_mm256_xor_si256(from, moved),
                                        _mm256_set1_epi16(static_cast<int16_t>(0x8000)));
  return _mm256_or_si256(_mm256_xor_si256(moved, _mm256_srai_epi16(moved, 15)), sign);
}

void Apply(const uint8_t* floats, const uint8_t* symbols, size_t count, uint8_t* out) {
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const __m256i both = Load(symbols + i);
    const __m256i first = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(both));
    const __m256i second = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(both, 1));
    Store(out + 2 * i, Moved(Load(floats + 2 * i), first));
    Store(out + 2 * i + 32, Moved(Load(floats + 2 * i + 32), second));
  }
  loops::Apply(floats + 2 * i, symbols + i, count - i, out + 2 * i);
}

}  // namespace

const DeltaKernels kAvx2Delta = {Contexts, Apply, loops::Steps};

}  // namespace qstore::scheme
