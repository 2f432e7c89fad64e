// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/vector_loops.h"

// Fields of a bit stream to lanes of a vector, and back. A lane takes as many bits as its mask has,
// and these are its low ones. Where the next eight lanes begin follows from the masks.
//
// PDEP and PEXT do this for eight lanes in an instruction. AMD processors before Zen 3 take a loop
// of microcode for it, up to 250 cycles (Agner Fog, "Instruction tables"): with QSTORE_NO_DEPOSIT
// shuffles and multiplications do the same for 32 lanes.

namespace qstore::codec {
namespace {

// From registers: a vector load of words just stored would wait for the stores.
inline __m256i Join(const uint64_t lanes[4]) {
  return _mm256_set_epi64x(static_cast<int64_t>(lanes[3]), static_cast<int64_t>(lanes[2]),
                           static_cast<int64_t>(lanes[1]), static_cast<int64_t>(lanes[0]));
}

#if !defined(QSTORE_NO_DEPOSIT)

// All ones in the bytes whose bit is set.
inline __m256i ByteMask(uint32_t bits) {
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i copies = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), spread);
  return _mm256_cmpeq_epi8(_mm256_and_si256(copies, select), select);
}

template <size_t kCount>
uint64_t DepositLanes(const uint8_t* bytes, uint64_t at, const uint64_t* masks, uint64_t* lanes) {
  for (size_t i = 0; i < kCount; ++i) {
    const uint64_t mask = masks[i];
    lanes[i] = _pdep_u64(LoadWord(bytes + (at >> 3)) >> (at & 7), mask);
    at += static_cast<uint64_t>(_mm_popcnt_u64(mask));
  }
  return at;
}

// Fields of at most 7 bits to bytes.
inline __m256i DepositBytes(const uint8_t* bytes, uint64_t* position, __m256i mask) {
  uint64_t masks[4];
  uint64_t lanes[4];
  Store(masks, mask);
  *position = DepositLanes<4>(bytes, *position, masks, lanes);
  return Join(lanes);
}

// Fields of at most 14 bits to words.
inline Words DepositWords(const uint8_t* bytes, uint64_t* position, const Words& mask) {
  uint64_t masks[8];
  uint64_t lanes[8];
  Store(masks, mask.first);
  Store(masks + 4, mask.second);
  *position = DepositLanes<8>(bytes, *position, masks, lanes);
  return {Join(lanes), Join(lanes + 4)};
}

// All ones where a bit of the stream is set that belongs to a byte with all ones in `has`.
inline __m256i DepositBits(const uint8_t* bytes, uint64_t* position, __m256i has) {
  const auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(has));
  const uint64_t window = LoadWord(bytes + (*position >> 3)) >> (*position & 7);
  *position += static_cast<uint64_t>(_mm_popcnt_u32(mask));
  return ByteMask(static_cast<uint32_t>(_pdep_u64(window, mask)));
}

// The same for words.
inline __m256i DepositBitsOfWords(const uint8_t* bytes, uint64_t* position, __m256i has) {
  // Two equal bits for every word: pdep of a bit for each lower one.
  const uint32_t mask = static_cast<uint32_t>(_mm256_movemask_epi8(has)) & 0x55555555u;
  const uint64_t window = LoadWord(bytes + (*position >> 3)) >> (*position & 7);
  *position += static_cast<uint64_t>(_mm_popcnt_u32(mask));
  const auto bits = static_cast<uint32_t>(_pdep_u64(window, mask));
  return ByteMask(bits | bits << 1);
}

inline void PutBytes(__m256i fields, __m256i mask, loops::BitPutter* sink) {
  uint64_t lanes[4];
  uint64_t masks[4];
  Store(lanes, fields);
  Store(masks, mask);
  for (int i = 0; i < 4; ++i) sink->Put(lanes[i], masks[i]);
}

// A bit for each byte with all ones in `has`: whether `set` has all ones there.
inline void PutBits(__m256i set, __m256i has, loops::BitPutter* sink) {
  sink->Put(static_cast<uint32_t>(_mm256_movemask_epi8(set)),
            static_cast<uint32_t>(_mm256_movemask_epi8(has)));
}

#else

// How many bits each byte has.
inline __m256i BitCounts(__m256i mask) {
  const __m256i low = _mm256_set1_epi8(0x0f);
  const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                          0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(mask, 4), low);
  return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(mask, low)),
                         _mm256_shuffle_epi8(counts, upper));
}

// Elements of four streams' windows, eight of each: fields of `width` bits, below `mask`.
inline __m256i DepositFields(const uint8_t* bytes, uint64_t* position, __m256i width,
                             __m256i mask) {
  // Where each field ends within the bits of its eight.
  __m256i end = _mm256_add_epi8(width, _mm256_slli_epi64(width, 8));
  end = _mm256_add_epi8(end, _mm256_slli_epi64(end, 16));
  end = _mm256_add_epi8(end, _mm256_slli_epi64(end, 32));
  const __m256i begin = _mm256_slli_epi64(end, 8);
  uint64_t sizes[4];
  Store(sizes, _mm256_srli_epi64(end, 56));
  uint64_t windows[4];
  uint64_t at = *position;
  for (int i = 0; i < 4; ++i) {
    windows[i] = LoadWord(bytes + (at >> 3)) >> (at & 7);
    at += sizes[i];
  }
  *position = at;
  const __m256i window = Join(windows);
  const __m256i even = _mm256_unpacklo_epi64(window, _mm256_setzero_si256());
  const __m256i odd = _mm256_unpackhi_epi64(window, _mm256_setzero_si256());
  // A field is in two bytes of its window. A multiplication moves it to the upper one.
  const __m256i byte = _mm256_and_si256(_mm256_srli_epi16(begin, 3), _mm256_set1_epi8(0x0f));
  const __m256i next = _mm256_add_epi8(byte, _mm256_set1_epi8(1));
  const __m256i bit = _mm256_and_si256(begin, _mm256_set1_epi8(7));
  const __m256i low_factors =
      _mm256_setr_epi8(0, -128, 64, 32, 16, 8, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0,  //
                       0, -128, 64, 32, 16, 8, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i low_factor = _mm256_shuffle_epi8(low_factors, bit);
  const __m256i high_factor =
      _mm256_and_si256(_mm256_cmpeq_epi8(bit, _mm256_setzero_si256()), _mm256_set1_epi8(1));
  const __m256i first =
      _mm256_mullo_epi16(_mm256_shuffle_epi8(even, _mm256_unpacklo_epi8(byte, next)),
                         _mm256_unpacklo_epi8(low_factor, high_factor));
  const __m256i second =
      _mm256_mullo_epi16(_mm256_shuffle_epi8(odd, _mm256_unpackhi_epi8(byte, next)),
                         _mm256_unpackhi_epi8(low_factor, high_factor));
  const __m256i fields =
      _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
  return _mm256_and_si256(fields, mask);
}

// Fields of at most 7 bits to bytes.
inline __m256i DepositBytes(const uint8_t* bytes, uint64_t* position, __m256i mask) {
  return DepositFields(bytes, position, BitCounts(mask), mask);
}

// Fields of at most 14 bits to words.
inline Words DepositWords(const uint8_t* bytes, uint64_t* position, const Words& mask) {
  uint64_t masks[8];
  uint64_t lanes[8];
  Store(masks, mask.first);
  Store(masks + 4, mask.second);
  uint64_t at = *position;
  for (int i = 0; i < 8; ++i) {
    uint64_t window = LoadWord(bytes + (at >> 3)) >> (at & 7);
    at += static_cast<uint64_t>(_mm_popcnt_u64(masks[i]));
    lanes[i] = 0;
    for (unsigned shift = 0; shift < 64; shift += 16) {
      const uint64_t field_mask = masks[i] >> shift & 0xffff;
      lanes[i] |= (window & field_mask) << shift;
      window >>= _mm_popcnt_u64(field_mask);
    }
  }
  *position = at;
  return {Join(lanes), Join(lanes + 4)};
}

// All ones where a bit of the stream is set that belongs to a byte with all ones in `has`.
inline __m256i DepositBits(const uint8_t* bytes, uint64_t* position, __m256i has) {
  const __m256i one = _mm256_set1_epi8(1);
  const __m256i width = _mm256_and_si256(has, one);
  return _mm256_cmpeq_epi8(DepositFields(bytes, position, width, width), one);
}

// The same for words.
inline __m256i DepositBitsOfWords(const uint8_t* bytes, uint64_t* position, __m256i has) {
  // Eight words in each half of 128 bits are its first eight bytes.
  const __m256i found =
      DepositBits(bytes, position, _mm256_packs_epi16(has, _mm256_setzero_si256()));
  return _mm256_unpacklo_epi8(found, found);
}

// The fields of eight bytes each side by side in a word, and how many bits these are.
struct Joined {
  uint64_t bits[4];
  uint64_t sizes[4];
};

inline Joined JoinFields(__m256i fields, __m256i width) {
  const __m256i low8 = _mm256_set1_epi16(0x00ff);
  const __m256i low16 = _mm256_set1_epi32(0xffff);
  const __m256i low32 = _mm256_set1_epi64x(0xffffffff);
  const __m256i powers = _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                          1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i power = _mm256_and_si256(_mm256_shuffle_epi8(powers, width), low8);
  __m256i bits = _mm256_or_si256(_mm256_and_si256(fields, low8),
                                 _mm256_mullo_epi16(_mm256_srli_epi16(fields, 8), power));
  __m256i size = _mm256_add_epi16(_mm256_and_si256(width, low8), _mm256_srli_epi16(width, 8));
  __m256i below = _mm256_and_si256(size, low16);
  bits = _mm256_or_si256(_mm256_and_si256(bits, low16),
                         _mm256_sllv_epi32(_mm256_srli_epi32(bits, 16), below));
  size = _mm256_add_epi32(below, _mm256_srli_epi32(size, 16));
  below = _mm256_and_si256(size, low32);
  bits = _mm256_or_si256(_mm256_and_si256(bits, low32),
                         _mm256_sllv_epi64(_mm256_srli_epi64(bits, 32), below));
  size = _mm256_add_epi64(below, _mm256_srli_epi64(size, 32));
  Joined joined;
  Store(joined.bits, bits);
  Store(joined.sizes, size);
  return joined;
}

// Low bits of bytes: at most 7 of each.
inline void PutBytes(__m256i fields, __m256i mask, loops::BitPutter* sink) {
  const Joined joined = JoinFields(_mm256_and_si256(fields, mask), BitCounts(mask));
  for (int i = 0; i < 4; ++i) sink->PutJoined(joined.bits[i], joined.sizes[i]);
}

// A bit for each byte with all ones in `has`: whether `set` has all ones there.
inline void PutBits(__m256i set, __m256i has, loops::BitPutter* sink) {
  const __m256i width = _mm256_and_si256(has, _mm256_set1_epi8(1));
  const Joined joined = JoinFields(_mm256_and_si256(set, width), width);
  uint64_t bits = joined.bits[0];
  uint64_t size = joined.sizes[0];
  for (int i = 1; i < 4; ++i) {
    bits |= joined.bits[i] << size;
    size += joined.sizes[i];
  }
  sink->PutJoined(bits, size);
}

#endif

}  // namespace
}  // namespace qstore::codec
