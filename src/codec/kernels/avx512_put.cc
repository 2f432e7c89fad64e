// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx512_tables.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/vector_loops.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI2 and BMI2. The encoders of bins.

namespace qstore::codec {
namespace {

// Mask for pdep and threshold of every bin, as the bytes of one word.
void PackTable(const BinTable8* table, uint16_t* packed) {
  for (size_t k = 0; k < kBinCount; ++k) {
    packed[k] = static_cast<uint16_t>(((1u << table->width[k]) - 1) | table->threshold[k] << 8);
  }
}

// Appends the words that `wide` marks; writes kWideSlack bytes.
void PutWide(__m512i value, __mmask32 wide, BinSinks* sinks) {
  uint8_t* at = sinks->wide + 2 * sinks->wide_count;
  _mm512_storeu_si512(at, _mm512_maskz_compress_epi16(wide, value));
  sinks->wide_count += static_cast<size_t>(_mm_popcnt_u32(wide));
}

// Splits the indices of 32 weights into floor bits (words, with the masks of their bits) and extra
// bits; puts out the values that have none.
struct Splitter {
  __m128i shift;
  __m512i low_mask;
  BinSinks* sinks;

  struct Split {
    __m512i floor;
    __mmask32 extra;       // Words that have an extra bit,
    __mmask32 extra_bits;  // and that bit.
  };

  Split operator()(__m512i twin, __m512i value, __m512i start, __m512i mask, __m512i threshold,
                   uint32_t place) const {
    const __m512i magnitude_mask = _mm512_set1_epi16(0x7fff);
    const __m512i magnitude = _mm512_and_si512(value, magnitude_mask);
    __m512i index = _mm512_sub_epi16(_mm512_srl_epi16(magnitude, shift), start);
    // Candidates: 2^(width + 1) - threshold.
    const __m512i twice = _mm512_add_epi16(_mm512_add_epi16(mask, mask), _mm512_set1_epi16(2));
    const __mmask32 wide = _mm512_cmpeq_epi16_mask(start, magnitude_mask);
    const __mmask32 in_bin = _mm512_cmplt_epu16_mask(index, _mm512_sub_epi16(twice, threshold));
    const __mmask32 other_sign = _mm512_movepi16_mask(_mm512_xor_si512(value, twin));
    const __mmask32 odd = _mm512_test_epi16_mask(magnitude, low_mask);
    const __mmask32 inside = in_bin & ~(wide | other_sign | odd);
    index = _mm512_maskz_mov_epi16(inside, index);
    const __mmask32 extra = _mm512_cmpge_epu16_mask(index, threshold);
    const __m512i sum = _mm512_add_epi16(index, threshold);
    PutWide(value, wide, sinks);
    for (uint32_t rest = ~(inside | wide); rest != 0; rest &= rest - 1) {
      sinks->listed[sinks->listed_count++] = place + static_cast<uint32_t>(__builtin_ctz(rest));
    }
    return {_mm512_mask_srli_epi16(index, extra, sum, 1), extra,
            _mm512_test_epi16_mask(sum, _mm512_set1_epi16(1))};
  }
};

__m512i LoadTwin(const uint8_t* q) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)));
}

}  // namespace

namespace avx512 {

void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks) {
  alignas(64) uint16_t packed[kBinCount];
  PackTable(table, packed);
  const WordTable mask_threshold(packed);
  const WordTable first(table->first);
  const Splitter split{_mm_cvtsi32_si128(static_cast<int>(shift)),
                       _mm512_set1_epi16(static_cast<short>((1u << shift) - 1)), sinks};
  loops::BitPutter floor_bits(&sinks->floor_bits);
  loops::BitPutter extra_bits(&sinks->extra_bits);
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    const __m512i twin = LoadTwin(q + done);
    const __m512i value = _mm512_loadu_si512(values + 2 * done);
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi16(twin), _mm512_set1_epi16(0x7f));
    const __mmask32 upper = _mm512_test_epi16_mask(bin, _mm512_set1_epi16(64));
    const __m512i code = mask_threshold.Look(bin, upper);
    const __m512i mask = _mm512_and_si512(code, _mm512_set1_epi16(0xff));
    const auto parts = split(twin, value, first.Look(bin, upper), mask, _mm512_srli_epi16(code, 8),
                             place + static_cast<uint32_t>(done));
    alignas(32) uint64_t lanes[4];
    alignas(32) uint64_t masks[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), _mm512_cvtepi16_epi8(parts.floor));
    _mm256_store_si256(reinterpret_cast<__m256i*>(masks), _mm512_cvtepi16_epi8(mask));
    for (int i = 0; i < 4; ++i) floor_bits.Put(lanes[i], masks[i]);
    extra_bits.Put(parts.extra_bits, parts.extra);
  }
  floor_bits.Finish();
  extra_bits.Finish();
  scalar::PutBins8(q + done, values + 2 * done, count - done, shift,
                   place + static_cast<uint32_t>(done), table, sinks);
}

void PutBins16(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
               uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
               BinSinks* sinks) {
  const WordTable widths(table->width);
  const WordTable thresholds(table->threshold);
  const WordTable starts(first);
  const Splitter split{_mm_cvtsi32_si128(static_cast<int>(shift)),
                       _mm512_set1_epi16(static_cast<short>((1u << shift) - 1)), sinks};
  loops::BitPutter floor_bits(&sinks->floor_bits);
  loops::BitPutter extra_bits(&sinks->extra_bits);
  const __m512i ones = _mm512_set1_epi16(-1);
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    const __m512i twin = LoadTwin(q + done);
    const __m512i value = _mm512_loadu_si512(values + 2 * done);
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi16(twin), _mm512_set1_epi16(0x7f));
    const __mmask32 upper = _mm512_test_epi16_mask(bin, _mm512_set1_epi16(64));
    const __m512i mask =
        _mm512_andnot_si512(_mm512_sllv_epi16(ones, widths.Look(bin, upper)), ones);
    const auto parts = split(twin, value, starts.Look(bin, upper), mask,
                             thresholds.Look(bin, upper), place + static_cast<uint32_t>(done));
    alignas(64) uint64_t lanes[8];
    alignas(64) uint64_t masks[8];
    _mm512_store_si512(lanes, parts.floor);
    _mm512_store_si512(masks, mask);
    for (int i = 0; i < 8; ++i) floor_bits.Put(lanes[i], masks[i]);
    extra_bits.Put(parts.extra_bits, parts.extra);
  }
  floor_bits.Finish();
  extra_bits.Finish();
  scalar::PutBins16(q + done, values + 2 * done, count - done, shift,
                    place + static_cast<uint32_t>(done), table, first, sinks);
}

}  // namespace avx512
}  // namespace qstore::codec
