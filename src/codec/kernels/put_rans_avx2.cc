// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstddef>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/internal.h"

// The encoder of rANS with eight states in a vector.

namespace qstore::codec {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kVectors = kRansStates / kLanes;

// For each set of lanes that give a word: the lane of each word, these at the vector's end.
struct LaneTable {
  uint8_t of_word[256][kLanes];
};
constexpr LaneTable kGiving = [] {
  LaneTable table{};
  for (unsigned lanes = 0; lanes < 256; ++lanes) {
    unsigned word = kLanes;
    for (unsigned lane = kLanes; lane-- > 0;) {
      if ((lanes >> lane & 1) != 0) table.of_word[lanes][--word] = static_cast<uint8_t>(lane);
    }
  }
  return table;
}();

// States above `highest` give their low words, which are put before *end, in order.
inline __m256i GiveWords(__m256i state, __m256i highest, uint16_t** end) {
  const __m256i fits = _mm256_cmpeq_epi32(_mm256_min_epu32(state, highest), state);
  const auto lanes = 0xffu ^ static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(fits)));
  const __m256i places = _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kGiving.of_word[lanes])));
  const __m256i giving = _mm256_permutevar8x32_epi32(state, places);
  const __m256i low = _mm256_and_si256(giving, _mm256_set1_epi32(0xffff));
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(*end - kLanes), words);
  *end -= _mm_popcnt_u32(lanes);
  return _mm256_blendv_epi8(_mm256_srli_epi32(state, 16), state, fits);
}

// state / frequency, which is below 2^20: the quotient of floats is off by one at most, and the
// remainder tells.
inline __m256i NextState(__m256i state, __m256i frequency, __m256i start) {
  const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(state, 16));
  const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(state, _mm256_set1_epi32(0xffff)));
  const __m256 all = _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(65536.0f)), low);
  const __m256i near = _mm256_cvttps_epi32(_mm256_div_ps(all, _mm256_cvtepi32_ps(frequency)));
  const __m256i rest = _mm256_sub_epi32(state, _mm256_mullo_epi32(near, frequency));
  // All ones, which are -1, where the quotient is one more, or one less.
  const __m256i below = _mm256_srai_epi32(rest, 31);
  const __m256i above =
      _mm256_andnot_si256(_mm256_cmpgt_epi32(frequency, rest), _mm256_set1_epi32(-1));
  const __m256i quotient = _mm256_sub_epi32(_mm256_add_epi32(near, below), above);
  const __m256i add = _mm256_and_si256(frequency, below);
  const __m256i take = _mm256_and_si256(frequency, above);
  const __m256i remainder = _mm256_sub_epi32(_mm256_add_epi32(rest, add), take);
  return _mm256_add_epi32(_mm256_slli_epi32(quotient, kRansTableBits),
                          _mm256_add_epi32(remainder, start));
}

inline __m256i Bytes8(const uint8_t* at) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
}

// kEach: a context for each symbol, else for each round.
template <bool kEach>
size_t Encode(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols, size_t rounds,
              uint32_t* states, uint16_t* end) {
  constexpr size_t kWords = sizeof(RansCode) / sizeof(uint32_t);
  constexpr size_t kStretch = offsetof(RansCode, stretch) / sizeof(uint32_t);
  const __m256i slot_mask = _mm256_set1_epi32((1 << kRansTableBits) - 1);
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i all_below = _mm256_set1_epi32((1 << (32 - kRansTableBits)) - 1);
  uint16_t* first = end;
  __m256i state[kVectors];
  for (size_t v = 0; v < kVectors; ++v) state[v] = Load(states + kLanes * v);
  for (size_t r = rounds; r-- > 0;) {
    const auto* stretches = reinterpret_cast<const int*>(codes) + kStretch;
    if constexpr (!kEach) stretches += kWords * 256 * size_t{contexts[r]};
    __m256i stretch[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t at = r * kRansStates + v * kLanes;
      __m256i place = Bytes8(symbols + at);
      if constexpr (kEach) {
        place = _mm256_or_si256(place, _mm256_slli_epi32(Bytes8(contexts + at), 8));
      }
      static_assert(kWords == 4);
      stretch[v] = _mm256_i32gather_epi32(stretches, _mm256_slli_epi32(place, 2), 4);
    }
    for (size_t v = kVectors; v-- > 0;) {
      const __m256i less_one = _mm256_srli_epi32(stretch[v], kRansTableBits);
      const __m256i highest =
          _mm256_or_si256(_mm256_slli_epi32(less_one, 32 - kRansTableBits), all_below);
      const __m256i kept = GiveWords(state[v], highest, &first);
      state[v] =
          NextState(kept, _mm256_add_epi32(less_one, one), _mm256_and_si256(stretch[v], slot_mask));
    }
  }
  for (size_t v = 0; v < kVectors; ++v) Store(states + kLanes * v, state[v]);
  return static_cast<size_t>(end - first);
}

}  // namespace

namespace avx2 {

size_t PutRansRounds(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                     size_t rounds, uint32_t* states, uint16_t* end) {
  return Encode<false>(codes, contexts, symbols, rounds, states, end);
}

size_t PutRansSymbols(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                      size_t rounds, uint32_t* states, uint16_t* end) {
  return Encode<true>(codes, contexts, symbols, rounds, states, end);
}

}  // namespace avx2
}  // namespace qstore::codec
