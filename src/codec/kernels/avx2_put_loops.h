// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx2_tables.h"
#include "codec/kernels/byte_fields.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/vector_loops.h"

// The encoder of bins, compiled as avx2_loops.h is.

namespace qstore::codec {
namespace {

// Half of a run in words: its indices, zero for elements without, and masks of bytes of words.
struct Half {
  __m256i index;
  uint32_t wide;
  uint32_t inside;
};

struct Indexer {
  __m128i shift;
  __m256i low_mask;

  // `last` is the highest index of each bin.
  Half operator()(__m256i value, __m256i twin, __m256i first, __m256i last) const {
    const __m256i magnitude_mask = _mm256_set1_epi16(0x7fff);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i magnitude = _mm256_and_si256(value, magnitude_mask);
    const __m256i index = _mm256_sub_epi16(_mm256_srl_epi16(magnitude, shift), first);
    const __m256i wide = _mm256_cmpeq_epi16(first, magnitude_mask);
    const __m256i in_bin = _mm256_cmpeq_epi16(_mm256_min_epu16(index, last), index);
    const __m256i other_sign = _mm256_srai_epi16(_mm256_xor_si256(value, twin), 15);
    const __m256i even = _mm256_cmpeq_epi16(_mm256_and_si256(magnitude, low_mask), zero);
    const __m256i fits = _mm256_andnot_si256(other_sign, _mm256_and_si256(in_bin, even));
    const __m256i inside = _mm256_andnot_si256(wide, fits);
    return {_mm256_and_si256(index, inside), static_cast<uint32_t>(_mm256_movemask_epi8(wide)),
            static_cast<uint32_t>(_mm256_movemask_epi8(inside))};
  }
};

// Puts out the values of a half that have no index.
void PutOthers(const Half& half, const uint8_t* values, uint32_t place, BinSinks* sinks) {
  for (uint32_t rest = ~half.inside & 0x55555555u; rest != 0; rest &= rest - 1) {
    const auto byte = static_cast<uint32_t>(__builtin_ctz(rest));
    if ((half.wide >> byte & 1) != 0) {
      std::memcpy(sinks->wide + 2 * sinks->wide_count++, values + byte, 2);
    } else {
      sinks->listed[sinks->listed_count++] = place + byte / 2;
    }
  }
}

// Bytes of the low halves of words, in order.
__m256i Narrow(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
}

void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks) {
  ByteTables<4> tables;
  for (size_t k = 0; k < kBinCount; ++k) {
    tables.bytes[0][k] = static_cast<uint8_t>((1u << table->width[k]) - 1);
    tables.bytes[1][k] = table->threshold[k];
    tables.bytes[2][k] = static_cast<uint8_t>(table->first[k]);
    tables.bytes[3][k] = static_cast<uint8_t>(table->first[k] >> 8);
  }
  const Indexer indexer{_mm_cvtsi32_si128(static_cast<int>(shift)),
                        _mm256_set1_epi16(static_cast<short>((1u << shift) - 1))};
  loops::BitPutter floor_bits(&sinks->floor_bits);
  loops::BitPutter extra_bits(&sinks->extra_bits);
  const __m256i zero = _mm256_setzero_si256();
  const __m256i one = _mm256_set1_epi8(1);
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    const __m256i twin = Load(q + done);
    __m256i found[4];
    tables.Look(BinIndex(twin), found);
    const __m256i mask = found[0];
    const __m256i threshold = found[1];
    // The last index: 2^(width + 1) - threshold - 1, below 255.
    const __m256i last =
        _mm256_sub_epi8(_mm256_add_epi8(_mm256_add_epi8(mask, mask), one), threshold);
    const Words firsts = Interleave(found[2], found[3]);
    const Words lasts = Interleave(last, zero);
    const Words twins = Interleave(zero, twin);
    const uint8_t* at = values + 2 * done;
    const Half a = indexer(Load(at), twins.first, firsts.first, lasts.first);
    const Half b = indexer(Load(at + 32), twins.second, firsts.second, lasts.second);
    const auto here = place + static_cast<uint32_t>(done);
    PutOthers(a, at, here, sinks);
    PutOthers(b, at + 32, here + kRun / 2, sinks);
    const __m256i index = Narrow(a.index, b.index);
    const __m256i has_extra = _mm256_cmpeq_epi8(_mm256_max_epu8(index, threshold), index);
    // Half of index + threshold, whose sum may have nine bits, and the bit that it loses.
    const __m256i odd = _mm256_and_si256(_mm256_xor_si256(index, threshold), one);
    const __m256i half = _mm256_sub_epi8(_mm256_avg_epu8(index, threshold), odd);
    const __m256i floor = _mm256_blendv_epi8(index, half, has_extra);
    PutBytes(floor, mask, &floor_bits);
    PutBits(_mm256_cmpeq_epi8(odd, one), has_extra, &extra_bits);
  }
  floor_bits.Finish();
  extra_bits.Finish();
  scalar::PutBins8(q + done, values + 2 * done, count - done, shift,
                   place + static_cast<uint32_t>(done), table, sinks);
}

}  // namespace
}  // namespace qstore::codec
