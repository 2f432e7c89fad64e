// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx512_tables.h"
#include "codec/kernels/bin_table_loops.h"
#include "codec/kernels/integer_loops.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/vector_loops.h"
#include "codec/kernels/words_loops.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and BMI2.

namespace qstore::codec {
namespace {

void MergeNibbles(const uint8_t* high, const uint8_t* low, size_t count, uint8_t* out) {
  const __m512i low_mask = _mm512_set1_epi8(0x0f);
  size_t done = 0;
  for (; done + 128 <= count; done += 128) {
    FetchAhead(out + done);
    const __m512i h = _mm512_loadu_si512(high + done / 2);
    const __m512i l = _mm512_loadu_si512(low + done / 2);
    // Bits where the mask is set come from the second operand, the others from the first.
    const __m512i first = _mm512_ternarylogic_epi32(h, _mm512_srli_epi16(l, 4), low_mask, 0xd8);
    const __m512i second = _mm512_ternarylogic_epi32(_mm512_slli_epi16(h, 4), l, low_mask, 0xd8);
    _mm512_storeu_si512(out + done, first);
    _mm512_storeu_si512(out + done + 64, second);
  }
  scalar::MergeNibbles(high + done / 2, low + done / 2, count - done, out + done);
}

void SplitNibbles(const uint8_t* in, size_t count, uint8_t* high, uint8_t* low) {
  const __m512i low_mask = _mm512_set1_epi8(0x0f);
  size_t done = 0;
  for (; done + 128 <= count; done += 128) {
    const __m512i a = _mm512_loadu_si512(in + done);
    const __m512i b = _mm512_loadu_si512(in + done + 64);
    const __m512i h = _mm512_ternarylogic_epi32(a, _mm512_srli_epi16(b, 4), low_mask, 0xd8);
    const __m512i l = _mm512_ternarylogic_epi32(_mm512_slli_epi16(a, 4), b, low_mask, 0xd8);
    _mm512_storeu_si512(high + done / 2, h);
    _mm512_storeu_si512(low + done / 2, l);
  }
  scalar::SplitNibbles(in + done, count - done, high + done / 2, low + done / 2);
}

size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places) {
  const __m512i factor = _mm512_set1_epi16(static_cast<short>(kPlaceFactor));
  const __m512i next_factor = _mm512_set1_epi16(static_cast<short>(kPlaceNextFactor));
  const __m512i offset = _mm512_set1_epi16(static_cast<short>(kPlaceOffset));
  return loops::FindPlaces<32, 1>(words, count, most, places, [&](const uint8_t* at) -> uint32_t {
    const __m512i word = _mm512_mullo_epi16(_mm512_loadu_si512(at), factor);
    const __m512i next = _mm512_mullo_epi16(_mm512_loadu_si512(at + 2), next_factor);
    const __m512i hash = _mm512_add_epi16(_mm512_add_epi16(word, next), offset);
    return _mm512_cmplt_epu16_mask(hash, _mm512_set1_epi16(kPlaceLimit));
  });
}

// From registers: a vector load of words just stored would wait for the stores.
__m256i Join(const uint64_t lanes[4]) {
  return _mm256_set_epi64x(static_cast<int64_t>(lanes[3]), static_cast<int64_t>(lanes[2]),
                           static_cast<int64_t>(lanes[1]), static_cast<int64_t>(lanes[0]));
}

void Finish16(const uint8_t* q, const uint8_t* index, size_t count, const uint16_t first[kBinCount],
              unsigned shift, WideCursor* wide, uint8_t* out) {
  const WordTable starts(first);
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    const __m512i value =
        _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + done)));
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi16(value), _mm512_set1_epi16(0x7f));
    const __m512i start = starts.Look(bin, _mm512_test_epi16_mask(bin, _mm512_set1_epi16(64)));
    const __m512i places = _mm512_loadu_si512(index + 2 * done);
    _mm512_storeu_si512(out + 2 * done, Finish(value, start, places, by, wide));
  }
  scalar::Finish16(q + done, index + 2 * done, count - done, first, shift, wide, out + 2 * done);
}

void Bins16(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
            BitCursor* extra_bits, uint8_t* out) {
  const WordTable widths(table->width);
  const WordTable thresholds(table->threshold);
  uint64_t floor_at = floor_bits->position;
  uint64_t extra_at = extra_bits->position;
  size_t done = 0;
  for (; done + kRun <= count; done += kRun) {
    if (floor_at + 13 * kRun > floor_bits->limit || extra_at + kRun > extra_bits->limit) break;
    const __m512i value =
        _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + done)));
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi16(value), _mm512_set1_epi16(0x7f));
    const __mmask32 upper = _mm512_test_epi16_mask(bin, _mm512_set1_epi16(64));
    const __m512i ones = _mm512_set1_epi16(-1);
    const __m512i masks =
        _mm512_andnot_si512(_mm512_sllv_epi16(ones, widths.Look(bin, upper)), ones);
    alignas(64) uint64_t lanes[8];
    _mm512_store_si512(lanes, masks);
    uint64_t found[8];
    for (int i = 0; i < 8; ++i) {
      const uint64_t mask = lanes[i];
      const uint64_t window = LoadWord(floor_bits->bytes + (floor_at >> 3)) >> (floor_at & 7);
      found[i] = _pdep_u64(window, mask);
      floor_at += static_cast<uint64_t>(_mm_popcnt_u64(mask));
    }
    __m512i index = _mm512_inserti64x4(_mm512_castsi256_si512(Join(found)), Join(found + 4), 1);
    const __m512i threshold = thresholds.Look(bin, upper);
    const __mmask32 extra = _mm512_cmpge_epu16_mask(index, threshold);
    const uint64_t window = LoadWord(extra_bits->bytes + (extra_at >> 3)) >> (extra_at & 7);
    const auto bits = static_cast<__mmask32>(_pdep_u64(window, extra));
    extra_at += static_cast<uint64_t>(_mm_popcnt_u64(extra));
    index = _mm512_mask_add_epi16(index, extra, index, _mm512_sub_epi16(index, threshold));
    index = _mm512_mask_sub_epi16(index, bits, index, ones);
    _mm512_storeu_si512(out + 2 * done, index);
  }
  floor_bits->position = floor_at;
  extra_bits->position = extra_at;
  scalar::Bins16(q + done, count - done, table, floor_bits, extra_bits, out + 2 * done);
}

}  // namespace

const Kernels kAvx512Kernels = {
    .name = "avx512",
    .huffman32 = avx512::Huffman32,
    .put_huffman32 = avx512::PutHuffman32,
    .rans_rounds = avx2::RansRounds,
    .rans_symbols = avx2::RansSymbols,
    .put_rans_rounds = avx2::PutRansRounds,
    .put_rans_symbols = avx2::PutRansSymbols,
    .unpack = loops::Unpack,
    .pack = loops::Pack,
    .merge_nibbles = MergeNibbles,
    .split_nibbles = SplitNibbles,
    .merge_float16 = loops::MergeFloat16,
    .split_float16 = loops::SplitFloat16,
    .merge_float32 = loops::MergeFloat32,
    .find_places = FindPlaces,
    .bf16_bins = loops::Bf16Bins,
    .bins8 = avx512::Bins8,
    .put_bins8 = avx512::PutBins8,
    .put_bins16 = avx512::PutBins16,
    .bins16 = Bins16,
    .finish16 = Finish16,
    .residual16 = avx512::Residual16,
    .put_residual16 = avx512::PutResidual16,
    .integer_residual = avx512::IntegerResidual,
    .integer_differences = loops::IntegerDifferences,
    .put_integer_residual = loops::PutIntegerResidual,
    .unpack_inputs = loops::UnpackInputs,
    .pack_inputs = loops::PackInputs,
    .transpose_words = loops::TransposeWords,
};

}  // namespace qstore::codec
