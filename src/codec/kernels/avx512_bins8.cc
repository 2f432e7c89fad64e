// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "codec/kernels/avx512_fields.h"
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

// The bins' first patterns in halves. Wide ones, which no sum is for, are told by a bit that
// patterns leave to the sign.
struct FirstPatterns {
  explicit FirstPatterns(const uint16_t* words)
      : low(LoadHalves(words, 0)), high(LoadHalves(words, 1)) {
    static_assert(kWideBin == 0x7fff);
    for (int i = 0; i < 2; ++i) {
      const __mmask64 ones = _mm512_cmpeq_epi8_mask(low.part[i], _mm512_set1_epi8(-1));
      const __mmask64 is_wide =
          _mm512_mask_cmpeq_epi8_mask(ones, high.part[i], _mm512_set1_epi8(0x7f));
      high.part[i] = _mm512_mask_mov_epi8(high.part[i], is_wide, _mm512_set1_epi8(-1));
    }
  }
  ByteTable low;
  ByteTable high;
};

// 64 words in order.
struct Words {
  __m512i a;
  __m512i b;
};

// Bits of `magnitude` from `value`, others from `sign`.
__m512i WithSign(__m512i value, __m512i sign, __m512i magnitude) {
  return _mm512_ternarylogic_epi64(magnitude, value, sign, 0xca);
}

// One bit for each one of `mask`, in its place, from bit `position` on.
uint64_t DepositBits(const uint8_t* bytes, uint64_t position, uint64_t mask) {
  return _pdep_u64(LoadWord(bytes + (position >> 3)) >> (position & 7), mask);
}

__mmask64 TakeBits(const uint8_t* bytes, uint64_t mask, uint64_t* position) {
  constexpr uint64_t kWindowBits = 57;  // that a window has for certain
  const uint64_t at = *position;
  const auto count = static_cast<uint64_t>(_mm_popcnt_u64(mask));
  *position += count;
  if (count <= kWindowBits) [[likely]]
    return DepositBits(bytes, at, mask);
  const uint64_t half = mask & 0xffffffff;
  const auto before = static_cast<uint64_t>(_mm_popcnt_u64(half));
  return DepositBits(bytes, at, half) | DepositBits(bytes, at + before, mask ^ half);
}

// The words in order, but for those that `wide` marks: these are the next ones of `taken`.
Words TakeWide(Words words, __mmask64 wide, WideCursor* taken) {
  const auto take = [taken](__m512i into, __mmask32 mask) {
    const size_t at = taken->used < taken->count ? taken->used : taken->count;
    const __m512i values = _mm512_loadu_si512(taken->values + 2 * at);
    taken->used += static_cast<size_t>(_mm_popcnt_u32(mask));
    return _mm512_mask_expand_epi16(into, mask, values);
  };
  const __m512i a = take(words.a, static_cast<__mmask32>(wide));
  return {a, take(words.b, static_cast<__mmask32>(_kshiftri_mask64(wide, 32)))};
}

template <bool kShifts>
void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  const ByteTable widths = LoadBytes(table->width);
  const ByteTable thresholds = LoadBytes(table->threshold);
  const FirstPatterns first(table->first);
  // Bytes in an order in which unpacking halves of 128-bit lanes gives words in the true one.
  const __m512i to_unpack = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
  const __m512i low_bits = Kept(_mm512_set1_epi8(0x7f));
  const __m512i all_bits = Kept(_mm512_set1_epi8(-1));
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  uint64_t floor_at = floor_bits->position;
  uint64_t extra_at = extra_bits->position;
  WideCursor taken = *wide;
  size_t done = 0;
  for (; done + kStep <= count; done += kStep) {
    if (floor_at + kMostFloorBits > floor_bits->limit || extra_at + kStep > extra_bits->limit) {
      break;
    }
    FetchAhead(out + 2 * done);
    const __m512i twin = _mm512_loadu_si512(q + done);
    const __m512i bin = _mm512_and_si512(_mm512_abs_epi8(twin), low_bits);
    const __m512i width = widths.Look(bin);
    const __m512i stream = _mm512_loadu_si512(floor_bits->bytes + (floor_at >> 3));
    const __m512i field = TakeFields(stream, width, &floor_at);
    const __m512i floor = _mm512_and_si512(field, Ones(width));
    const __m512i threshold = thresholds.Look(bin);
    const __mmask64 extra = _mm512_cmpge_epu8_mask(floor, threshold);
    const __mmask64 bits = TakeBits(extra_bits->bytes, extra, &extra_at);
    __m512i index = _mm512_sub_epi8(_mm512_add_epi8(floor, floor), threshold);
    index = _mm512_mask_mov_epi8(floor, extra, index);
    index = _mm512_mask_sub_epi8(index, bits, index, all_bits);

    // First pattern and index, added by bytes. A carry is where both of them have the highest bit,
    // or one has and the sum has not.
    const __m512i first_low = first.low.Look(bin);
    const __m512i first_high = first.high.Look(bin);
    const __m512i low = _mm512_add_epi8(first_low, index);
    const __mmask64 carry =
        _mm512_movepi8_mask(_mm512_ternarylogic_epi64(first_low, index, low, 0xd4));
    const __m512i high = _mm512_mask_sub_epi8(first_high, carry, first_high, all_bits);
    const auto words = [&](__m512i lower, __m512i upper) {
      lower = _mm512_permutexvar_epi64(to_unpack, lower);
      upper = _mm512_permutexvar_epi64(to_unpack, upper);
      return Words{_mm512_unpacklo_epi8(lower, upper), _mm512_unpackhi_epi8(lower, upper)};
    };
    // Without a shift, no sum reaches the sign, which is put in before.
    auto [a, b] = words(low, kShifts ? high : WithSign(high, twin, low_bits));
    if constexpr (kShifts) {
      const Words value = words(_mm512_setzero_si512(), twin);
      const __m512i magnitude = _mm512_set1_epi16(0x7fff);
      a = WithSign(_mm512_sll_epi16(a, by), value.a, magnitude);
      b = WithSign(_mm512_sll_epi16(b, by), value.b, magnitude);
    }
    const __mmask64 is_wide = _mm512_movepi8_mask(first_high);
    const Words all = TakeWide({a, b}, is_wide, &taken);
    _mm512_storeu_si512(out + 2 * done, all.a);
    _mm512_storeu_si512(out + 2 * done + 64, all.b);
  }
  floor_bits->position = floor_at;
  extra_bits->position = extra_at;
  *wide = taken;
  scalar::Bins8(q + done, count - done, table, shift, floor_bits, extra_bits, wide, out + 2 * done);
}

}  // namespace

namespace avx512 {

void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  const auto decode = shift == 0 ? codec::Bins8<false> : codec::Bins8<true>;
  decode(q, count, table, shift, floor_bits, extra_bits, wide, out);
}

}  // namespace avx512
}  // namespace qstore::codec
