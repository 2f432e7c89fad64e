// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/byte_fields.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/vector_loops.h"

// Needs AVX2, BMI, LZCNT and POPCNT; BMI2 unless QSTORE_NO_DEPOSIT is defined. Compiled with
// internal linkage for both.

namespace qstore::codec {
namespace {

// Bits of `b` where the low nibbles are, of `a` elsewhere.
__m256i BlendNibbles(__m256i a, __m256i b) {
  const __m256i low = _mm256_set1_epi8(0x0f);
  return _mm256_or_si256(_mm256_andnot_si256(low, a), _mm256_and_si256(low, b));
}

void MergeNibbles(const uint8_t* high, const uint8_t* low, size_t count, uint8_t* out) {
  size_t done = 0;
  for (; done + 128 <= count; done += 128) {
    for (size_t half = 0; half < 64; half += 32) {
      const __m256i h = Load(high + done / 2 + half);
      const __m256i l = Load(low + done / 2 + half);
      Store(out + done + half, BlendNibbles(h, _mm256_srli_epi16(l, 4)));
      Store(out + done + half + 64, BlendNibbles(_mm256_slli_epi16(h, 4), l));
    }
  }
  scalar::MergeNibbles(high + done / 2, low + done / 2, count - done, out + done);
}

void SplitNibbles(const uint8_t* in, size_t count, uint8_t* high, uint8_t* low) {
  size_t done = 0;
  for (; done + 128 <= count; done += 128) {
    for (size_t half = 0; half < 64; half += 32) {
      const __m256i a = Load(in + done + half);
      const __m256i b = Load(in + done + half + 64);
      Store(high + done / 2 + half, BlendNibbles(a, _mm256_srli_epi16(b, 4)));
      Store(low + done / 2 + half, BlendNibbles(_mm256_slli_epi16(a, 4), b));
    }
  }
  scalar::SplitNibbles(in + done, count - done, high + done / 2, low + done / 2);
}

size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places) {
  const __m256i factor = _mm256_set1_epi16(static_cast<short>(kPlaceFactor));
  const __m256i next_factor = _mm256_set1_epi16(static_cast<short>(kPlaceNextFactor));
  const __m256i offset = _mm256_set1_epi16(static_cast<short>(kPlaceOffset));
  return loops::FindPlaces<16, 2>(words, count, most, places, [&](const uint8_t* at) -> uint32_t {
    const __m256i word = _mm256_mullo_epi16(Load(at), factor);
    const __m256i next = _mm256_mullo_epi16(Load(at + 2), next_factor);
    const __m256i hash = _mm256_add_epi16(_mm256_add_epi16(word, next), offset);
    const __m256i low = _mm256_min_epu16(hash, _mm256_set1_epi16(kPlaceLimit - 1));
    const auto bytes = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(low, hash)));
    return bytes & 0x55555555u;
  });
}

// Words of `first` and `index` to patterns, see Kernels::bins8. Wide bins have bit patterns
// kWideBin.
struct Finisher {
  __m128i shift;
  WideCursor* wide;

  void operator()(const Words& first, const Words& index, __m256i q, uint8_t* out) const {
    const Words signs = Interleave(_mm256_setzero_si256(), q);
    uint64_t marks = Put(first.first, index.first, signs.first, out);
    marks |= Put(first.second, index.second, signs.second, out + 32) << 32;
    for (; marks != 0; marks &= marks - 1) {
      std::memcpy(out + __builtin_ctzll(marks), wide->values + 2 * wide->used++, 2);
    }
  }

 private:
  // Returns a bit for the first byte of every wide element.
  uint64_t Put(__m256i first, __m256i index, __m256i q, uint8_t* out) const {
    const __m256i magnitude = _mm256_set1_epi16(0x7fff);
    const __m256i moved = _mm256_sll_epi16(_mm256_add_epi16(first, index), shift);
    Store(out,
          _mm256_or_si256(_mm256_and_si256(magnitude, moved), _mm256_andnot_si256(magnitude, q)));
    const __m256i is_wide = _mm256_cmpeq_epi16(first, magnitude);
    return static_cast<uint32_t>(_mm256_movemask_epi8(is_wide)) & 0x55555555u;
  }
};

// The same where shift is 0, in bytes: `low` and `high` are those of the first patterns.
inline void FinishBytes(__m256i low, __m256i high, __m256i index, __m256i q, WideCursor* wide,
                        uint8_t* out) {
  const __m256i sum = _mm256_add_epi8(low, index);
  const __m256i no_carry = _mm256_cmpeq_epi8(_mm256_max_epu8(sum, low), sum);
  const __m256i top = _mm256_sub_epi8(_mm256_add_epi8(high, no_carry), _mm256_set1_epi8(-1));
  const __m256i sign = _mm256_and_si256(q, _mm256_set1_epi8(-128));
  const __m256i is_wide = _mm256_and_si256(_mm256_cmpeq_epi8(low, _mm256_set1_epi8(-1)),
                                           _mm256_cmpeq_epi8(high, _mm256_set1_epi8(0x7f)));
  // Quarters in an order in which unpacking halves of 128-bit lanes gives words in the true one.
  const __m256i lows = _mm256_permute4x64_epi64(sum, 0xd8);
  const __m256i tops = _mm256_permute4x64_epi64(_mm256_or_si256(top, sign), 0xd8);
  Store(out, _mm256_unpacklo_epi8(lows, tops));
  Store(out + 32, _mm256_unpackhi_epi8(lows, tops));
  auto marks = static_cast<uint32_t>(_mm256_movemask_epi8(is_wide));
  for (; marks != 0; marks &= marks - 1) {
    std::memcpy(out + 2 * __builtin_ctz(marks), wide->values + 2 * wide->used++, 2);
  }
}

void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  ByteTables<4> tables;
  for (size_t k = 0; k < kBinCount; ++k) {
    tables.bytes[0][k] = static_cast<uint8_t>((1u << table->width[k]) - 1);
    tables.bytes[1][k] = table->threshold[k];
    tables.bytes[2][k] = static_cast<uint8_t>(table->first[k]);
    tables.bytes[3][k] = static_cast<uint8_t>(table->first[k] >> 8);
  }
  const Finisher finish{_mm_cvtsi32_si128(static_cast<int>(shift)), wide};
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    if (floor_bits->position + 7 * kRun > floor_bits->limit ||
        extra_bits->position + kRun > extra_bits->limit || wide->used > wide->count) {
      break;
    }
    const __m256i value = Load(q + done);
    __m256i found[4];
    tables.Look(BinIndex(value), found);
    const __m256i floor = DepositBytes(floor_bits->bytes, &floor_bits->position, found[0]);
    const __m256i threshold = found[1];
    const __m256i has_extra = _mm256_cmpeq_epi8(_mm256_max_epu8(floor, threshold), floor);
    const __m256i ones = DepositBits(extra_bits->bytes, &extra_bits->position, has_extra);
    const __m256i more = _mm256_and_si256(has_extra, _mm256_sub_epi8(floor, threshold));
    const __m256i index = _mm256_sub_epi8(_mm256_add_epi8(floor, more), ones);
    if (shift == 0) {
      FinishBytes(found[2], found[3], index, value, wide, out + 2 * done);
    } else {
      finish(Interleave(found[2], found[3]), Interleave(index, _mm256_setzero_si256()), value,
             out + 2 * done);
    }
  }
  scalar::Bins8(q + done, count - done, table, shift, floor_bits, extra_bits, wide, out + 2 * done);
}

void Finish16(const uint8_t* q, const uint8_t* index, size_t count, const uint16_t first[kBinCount],
              unsigned shift, WideCursor* wide, uint8_t* out) {
  ByteTables<2> tables;
  for (size_t k = 0; k < kBinCount; ++k) {
    tables.bytes[0][k] = static_cast<uint8_t>(first[k]);
    tables.bytes[1][k] = static_cast<uint8_t>(first[k] >> 8);
  }
  const Finisher finish{_mm_cvtsi32_si128(static_cast<int>(shift)), wide};
  size_t done = 0;
  for (; done + kRun <= count && wide->used <= wide->count; done += kRun) {
    const __m256i value = Load(q + done);
    __m256i found[2];
    tables.Look(BinIndex(value), found);
    const Words places = {Load(index + 2 * done), Load(index + 2 * done + 32)};
    finish(Interleave(found[0], found[1]), places, value, out + 2 * done);
  }
  scalar::Finish16(q + done, index + 2 * done, count - done, first, shift, wide, out + 2 * done);
}

void Bins16(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
            BitCursor* extra_bits, uint8_t* out) {
  ByteTables<4> tables;
  for (size_t k = 0; k < kBinCount; ++k) {
    const unsigned mask = (1u << table->width[k]) - 1;
    tables.bytes[0][k] = static_cast<uint8_t>(mask);
    tables.bytes[1][k] = static_cast<uint8_t>(mask >> 8);
    tables.bytes[2][k] = static_cast<uint8_t>(table->threshold[k]);
    tables.bytes[3][k] = static_cast<uint8_t>(table->threshold[k] >> 8);
  }
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    if (floor_bits->position + 13 * kRun > floor_bits->limit ||
        extra_bits->position + kRun > extra_bits->limit) {
      break;
    }
    __m256i found[4];
    tables.Look(BinIndex(Load(q + done)), found);
    const Words masks = Interleave(found[0], found[1]);
    const Words thresholds = Interleave(found[2], found[3]);
    const Words floors = DepositWords(floor_bits->bytes, &floor_bits->position, masks);
    for (size_t half = 0; half < 2; ++half) {
      const __m256i floor = half == 0 ? floors.first : floors.second;
      const __m256i threshold = half == 0 ? thresholds.first : thresholds.second;
      const __m256i has_extra = _mm256_cmpeq_epi16(_mm256_max_epu16(floor, threshold), floor);
      const __m256i ones = DepositBitsOfWords(extra_bits->bytes, &extra_bits->position, has_extra);
      const __m256i more = _mm256_and_si256(has_extra, _mm256_sub_epi16(floor, threshold));
      Store(out + 2 * done + 32 * half, _mm256_sub_epi16(_mm256_add_epi16(floor, more), ones));
    }
  }
  scalar::Bins16(q + done, count - done, table, floor_bits, extra_bits, out + 2 * done);
}

}  // namespace
}  // namespace qstore::codec
