// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/internal.h"

// rANS with eight states in a vector. A gather of eight entries takes as long as eight loads, and
// all else is done for eight symbols at once.

namespace qstore::codec {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kVectors = kRansStates / kLanes;

// For each set of lanes that take a word: the number of its word, by lane.
struct WordTable {
  uint8_t of_lane[256][kLanes];
};
constexpr WordTable kWords = [] {
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
  const __m256i places = _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kWords.of_lane[lanes])));
  const __m256i taken = _mm256_permutevar8x32_epi32(words, places);
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
        const __m256i context =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
        place = _mm256_or_si256(place, _mm256_slli_epi32(context, kRansTableBits));
      }
      entries[v] = _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), place, 4);
    }
    for (size_t v = 0; v < kVectors; ++v) state[v] = TakeWords(Step(state[v], entries[v]), &word);
    PutSymbols(entries, out);
  }
  for (size_t v = 0; v < kVectors; ++v) Store(states + kLanes * v, state[v]);
  return static_cast<size_t>(word - words) / 2;
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

}  // namespace avx2
}  // namespace qstore::codec
