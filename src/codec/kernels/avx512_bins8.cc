// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "codec/kernels/avx512_tables.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/portable_loops.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and BMI2. The decoder of bins with indices of a byte: 64
// weights a step, without a scalar instruction for any one of them.

namespace qstore::codec {
namespace {

constexpr size_t kStep = 64;
constexpr uint64_t kMostFloorBits = 7 * kStep;

// A table of 128 bytes in registers.
struct ByteTable {
  __m512i part[2];
  __m512i Look(__m512i index) const { return _mm512_permutex2var_epi8(part[0], index, part[1]); }
};

ByteTable LoadBytes(const uint8_t* bytes) {
  return {{_mm512_loadu_si512(bytes), _mm512_loadu_si512(bytes + 64)}};
}

// Byte `which` (0 or 1) of 128 words.
ByteTable LoadHalves(const uint16_t* words, int which) {
  const __m512i even = _mm512_add_epi8(
      _mm512_set_epi8(126, 124, 122, 120, 118, 116, 114, 112, 110, 108, 106, 104, 102, 100, 98, 96,
                      94, 92, 90, 88, 86, 84, 82, 80, 78, 76, 74, 72, 70, 68, 66, 64, 62, 60, 58,
                      56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20,
                      18, 16, 14, 12, 10, 8, 6, 4, 2, 0),
      _mm512_set1_epi8(static_cast<char>(which)));
  ByteTable table;
  for (int i = 0; i < 2; ++i) {
    table.part[i] = _mm512_permutex2var_epi8(_mm512_loadu_si512(words + 64 * i), even,
                                             _mm512_loadu_si512(words + 64 * i + 32));
  }
  return table;
}

// 2^width - 1 of every byte, widths being at most 7.
__m512i Ones(__m512i width) {
  const __m512i ones = _mm512_set1_epi64(0x7f3f1f0f07030100);
  return _mm512_shuffle_epi8(ones, width);
}

// Sums of all lanes before one; the last lane of *through has the sum of all.
__m512i SumsBefore(__m512i lanes, __m512i* through) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i sums = _mm512_add_epi64(lanes, _mm512_alignr_epi64(lanes, zero, 7));
  sums = _mm512_add_epi64(sums, _mm512_alignr_epi64(sums, zero, 6));
  sums = _mm512_add_epi64(sums, _mm512_alignr_epi64(sums, zero, 4));
  *through = sums;
  return _mm512_sub_epi64(sums, lanes);
}

// The lowest byte of every 64-bit lane in all its bytes.
__m512i Spread(__m512i lanes) {
  const __m512i lowest = _mm512_set4_epi32(0x08080808, 0x08080808, 0, 0);
  return _mm512_shuffle_epi8(lanes, lowest);
}

// Fields of the widths given, one after another from bit `position` on, each in a byte of its own,
// with what follows it above. Reads 64 bytes. Adds the sum of widths to `position`.
__m512i TakeFields(const uint8_t* bytes, __m512i width, uint64_t* position) {
  // In every lane of eight weights: bits before each one, and of all.
  const __m512i through = _mm512_mullo_epi64(width, _mm512_set1_epi64(0x0101010101010101));
  __m512i total;
  const __m512i before = SumsBefore(_mm512_srli_epi64(through, 56), &total);
  const auto phase = static_cast<long long>(*position & 7);
  const __m512i begin = _mm512_add_epi64(before, _mm512_set1_epi64(phase));
  const __m512i stream = _mm512_loadu_si512(bytes + (*position >> 3));
  const __m512i bytes_of_lane =
      _mm512_add_epi8(Spread(_mm512_srli_epi64(begin, 3)), _mm512_set1_epi64(0x0706050403020100));
  const __m512i window = _mm512_permutexvar_epi8(bytes_of_lane, stream);
  const __m512i bit = _mm512_add_epi8(_mm512_slli_epi64(through, 8),
                                      Spread(_mm512_and_si512(begin, _mm512_set1_epi64(7))));
  const __m128i last = _mm512_extracti64x2_epi64(total, 3);
  *position += static_cast<uint64_t>(_mm_extract_epi64(last, 1));
  return _mm512_multishift_epi64_epi8(bit, window);
}

// One bit for each one of `mask`, in its place.
__mmask64 TakeBits(const uint8_t* bytes, uint64_t mask, uint64_t* position) {
  uint64_t bits = 0;
  for (unsigned half = 0; half < 64; half += 32) {  // A window has 57 bits for certain.
    const uint64_t window = LoadWord(bytes + (*position >> 3)) >> (*position & 7);
    const uint64_t part = mask >> half & 0xffffffff;
    bits |= _pdep_u64(window, part) << half;
    *position += static_cast<uint64_t>(_mm_popcnt_u64(part));
  }
  return bits;
}

}  // namespace

namespace avx512 {

void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  const ByteTable widths = LoadBytes(table->width);
  const ByteTable thresholds = LoadBytes(table->threshold);
  const ByteTable first_low = LoadHalves(table->first, 0);
  const ByteTable first_high = LoadHalves(table->first, 1);
  // Bytes in an order in which unpacking halves of 128-bit lanes gives words in the true one.
  const __m512i to_unpack = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i bin_mask = _mm512_set1_epi8(0x7f);
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  uint64_t floor_at = floor_bits->position;
  uint64_t extra_at = extra_bits->position;
  WideCursor taken = *wide;
  size_t done = 0;
  for (; done + kStep <= count; done += kStep) {
    if (floor_at + kMostFloorBits > floor_bits->limit || extra_at + kStep > extra_bits->limit) {
      break;
    }
    const __m512i twin = _mm512_loadu_si512(q + done);
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi8(twin), bin_mask);
    const __m512i width = widths.Look(bin);
    const __m512i field = TakeFields(floor_bits->bytes, width, &floor_at);
    const __m512i floor = _mm512_and_si512(field, Ones(width));
    const __m512i threshold = thresholds.Look(bin);
    const __mmask64 extra = _mm512_cmpge_epu8_mask(floor, threshold);
    const __mmask64 bits = TakeBits(extra_bits->bytes, extra, &extra_at);
    __m512i index = _mm512_sub_epi8(_mm512_add_epi8(floor, floor), threshold);
    index = _mm512_mask_mov_epi8(floor, extra, index);
    index = _mm512_mask_sub_epi8(index, bits, index, _mm512_set1_epi8(-1));

    const __m512i value = _mm512_permutexvar_epi64(to_unpack, twin);
    const __m512i places = _mm512_permutexvar_epi64(to_unpack, index);
    const __m512i again = _mm512_and_si512(_mm512_abs_epi8(value), bin_mask);
    const __m512i low = first_low.Look(again);
    const __m512i high = first_high.Look(again);
    const __m512i a = Finish(_mm512_unpacklo_epi8(zero, value), _mm512_unpacklo_epi8(low, high),
                             _mm512_unpacklo_epi8(places, zero), by, &taken);
    const __m512i b = Finish(_mm512_unpackhi_epi8(zero, value), _mm512_unpackhi_epi8(low, high),
                             _mm512_unpackhi_epi8(places, zero), by, &taken);
    _mm512_storeu_si512(out + 2 * done, a);
    _mm512_storeu_si512(out + 2 * done + 64, b);
  }
  floor_bits->position = floor_at;
  extra_bits->position = extra_at;
  *wide = taken;
  scalar::Bins8(q + done, count - done, table, shift, floor_bits, extra_bits, wide, out + 2 * done);
}

}  // namespace avx512
}  // namespace qstore::codec
