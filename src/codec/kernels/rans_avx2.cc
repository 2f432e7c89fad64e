// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstddef>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/internal.h"

// rANS, decoder and encoder, with eight states in a vector. A gather of eight entries takes as long
// as eight loads, and all else is done for eight symbols at once.

namespace qstore::codec {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kVectors = kRansStates / kLanes;

inline __m256i Bytes8(const uint8_t* at) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
}

// For each set of lanes that take a word: the number of its word, by lane.
struct WordTable {
  uint8_t of_lane[256][kLanes];
};
constexpr WordTable kTaking = [] {
  WordTable words{};
  for (unsigned lanes = 0; lanes < 256; ++lanes) {
    uint8_t next = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if ((lanes >> lane & 1) != 0) words.of_lane[lanes][lane] = next++;
    }
  }
  return words;
}();

// The states that got low take the next words, in order. Reads 16 bytes.
inline __m256i TakeWords(__m256i next, const uint8_t** word) {
  const __m256i is_low = _mm256_cmpeq_epi32(_mm256_srli_epi32(next, 16), _mm256_setzero_si256());
  const auto lanes = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(is_low)));
  const __m256i words =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(*word)));
  const __m256i taken = _mm256_permutevar8x32_epi32(words, Bytes8(kTaking.of_lane[lanes]));
  *word += 2 * static_cast<size_t>(_mm_popcnt_u32(lanes));
  return _mm256_blendv_epi8(next, _mm256_or_si256(_mm256_slli_epi32(next, 16), taken), is_low);
}

inline __m256i Step(__m256i state, __m256i entry) {
  const __m256i high = _mm256_srli_epi32(state, kRansTableBits);
  const __m256i bias = _mm256_and_si256(_mm256_srli_epi32(entry, 8), _mm256_set1_epi32(0xfff));
  const __m256i product = _mm256_mullo_epi32(_mm256_srli_epi32(entry, 20), high);
  return _mm256_add_epi32(_mm256_add_epi32(product, high), bias);
}

inline void PutSymbols(const __m256i* entries, uint8_t* out) {
  const __m256i symbol = _mm256_set1_epi32(0xff);
  const __m256i first = _mm256_packus_epi32(_mm256_and_si256(entries[0], symbol),
                                            _mm256_and_si256(entries[1], symbol));
  const __m256i second = _mm256_packus_epi32(_mm256_and_si256(entries[2], symbol),
                                             _mm256_and_si256(entries[3], symbol));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  Store(out, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order));
}

// kEach: a context for each symbol, else for each round.
template <bool kEach>
size_t Decode(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words, size_t rounds,
              uint32_t* states, uint8_t* out) {
  const __m256i slot_mask = _mm256_set1_epi32((1 << kRansTableBits) - 1);
  const uint8_t* word = words;
  __m256i state[kVectors];
  for (size_t v = 0; v < kVectors; ++v) state[v] = Load(states + kLanes * v);
  for (size_t r = 0; r < rounds; ++r, out += kRansStates) {
    const uint32_t* table = tables;
    if constexpr (!kEach) table += size_t{contexts[r]} << kRansTableBits;
    __m256i entries[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      __m256i place = _mm256_and_si256(state[v], slot_mask);
      if constexpr (kEach) {
        const uint8_t* at = contexts + r * kRansStates + v * kLanes;
        place = _mm256_or_si256(place, _mm256_slli_epi32(Bytes8(at), kRansTableBits));
      }
      entries[v] = _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), place, 4);
    }
    for (size_t v = 0; v < kVectors; ++v) state[v] = TakeWords(Step(state[v], entries[v]), &word);
    PutSymbols(entries, out);
  }
  for (size_t v = 0; v < kVectors; ++v) Store(states + kLanes * v, state[v]);
  return static_cast<size_t>(word - words) / 2;
}

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
  const __m256i giving = _mm256_permutevar8x32_epi32(state, Bytes8(kGiving.of_word[lanes]));
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

// kEach: as above.
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

size_t RansRounds(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                  size_t rounds, uint32_t* states, uint8_t* out) {
  return Decode<false>(tables, contexts, words, rounds, states, out);
}

size_t RansSymbols(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                   size_t rounds, uint32_t* states, uint8_t* out) {
  return Decode<true>(tables, contexts, words, rounds, states, out);
}

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
