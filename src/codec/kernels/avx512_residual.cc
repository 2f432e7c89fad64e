// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx512_bf16.h"
#include "codec/kernels/avx512_fields.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/residual_loops.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and BMI2. The decoder of residuals of BF16 whose low
// fields are shorter than a byte: 64 weights a step. Other runs take the loops for compilers.

namespace qstore::codec {
namespace {

constexpr size_t kStep = 64;

__mmask64 FirstLanes(uint64_t count) {
  return _bzhi_u64(~uint64_t{0}, static_cast<uint32_t>(count < kStep ? count : kStep));
}

// 64 bytes from that of the cursor's bit on, zeros behind the stream's end.
__m512i LoadStream(const BitCursor& cursor) {
  const uint64_t first = cursor.position >> 3;
  const uint64_t end = (cursor.limit + 7) >> 3;
  return _mm512_maskz_loadu_epi8(FirstLanes(first < end ? end - first : 0), cursor.bytes + first);
}

// At most 57.
uint32_t TakeBits(BitCursor* cursor, uint32_t count) {
  const bool is_inside = cursor->position + 64 <= cursor->limit;
  const uint64_t word =
      is_inside
          ? LoadWord(cursor->bytes + (cursor->position >> 3))
          : static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(LoadStream(*cursor))));
  const uint64_t bits = _bzhi_u64(word >> (cursor->position & 7), count);
  cursor->position += count;
  return static_cast<uint32_t>(bits);
}

__m512i EvenBytes() {
  return _mm512_set_epi8(126, 124, 122, 120, 118, 116, 114, 112, 110, 108, 106, 104, 102, 100, 98,
                         96, 94, 92, 90, 88, 86, 84, 82, 80, 78, 76, 74, 72, 70, 68, 66, 64, 62, 60,
                         58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22,
                         20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
}

// Values put out whose cells may have further bits. These are few: that they are finished one by
// one, long after they were found, keeps the vectors from waiting for a branch.
class SmallCells {
 public:
  SmallCells(uint8_t* out, BitCursor* extra_bits) : out_(out), extra_bits_(extra_bits) {}

  // Those marked of the step of values from `at` on.
  void Add(uint64_t marks, uint32_t exponent, const uint8_t* at) {
    auto place = static_cast<size_t>(at - out_) / 2;
    if (count_ > kRoom || place > kMostPlace - kStep) {
      Finish();
      out_ += 2 * place;
      place = 0;
    }
    const uint32_t first = exponent << kPlaceBits | static_cast<uint32_t>(place);
    uint32_t* to = found_ + count_;
    count_ += static_cast<size_t>(_mm_popcnt_u64(marks));
    const auto put_next = [&] {
      *to++ = first + static_cast<uint32_t>(_tzcnt_u64(marks));
      marks = _blsr_u64(marks);
    };
    // Mostly all there are, without a branch that depends on how many.
    for (int i = 0; i < kUsual; ++i) put_next();
    while (marks != 0) put_next();
  }

  // Gives them their further bits, and zero its sign.
  void Finish() {
    BitCursor cursor = *extra_bits_;
    for (size_t i = 0; i < count_; ++i) {
      const uint32_t exponent = found_[i] >> kPlaceBits;
      uint8_t* const at = out_ + 2 * size_t{found_[i] & kMostPlace};
      const uint32_t pattern = loops::LoadHalf(at);
      const uint32_t cell = (pattern - ((exponent - 1) << kMantissa)) & 0x7fff;
      const uint32_t bits = loops::ExtraBits<true>(cell, exponent);
      const uint32_t magnitude = (((exponent - 1 - bits) << kMantissa) + (cell << bits)) & 0x7fff;
      const uint32_t rest = cell != 0 ? magnitude | (pattern & 0x8000) : 0;
      const auto value = static_cast<uint16_t>(rest | TakeBits(&cursor, bits));
      std::memcpy(at, &value, sizeof(value));
    }
    *extra_bits_ = cursor;
    count_ = 0;
  }

 private:
  static constexpr size_t kRoom = 512;
  static constexpr int kUsual = 3;
  static constexpr unsigned kPlaceBits = 24;
  static constexpr uint32_t kMostPlace = (1u << kPlaceBits) - 1;

  uint8_t* out_;
  BitCursor* extra_bits_;
  uint32_t found_[kRoom + kStep + kUsual];  // Exponent and place.
  size_t count_ = 0;
};

class RunDecoder {
 public:
  explicit RunDecoder(const ResidualRun& run)
      : exponent_(run.exponent),
        predictor_(run),
        octave_(_mm512_set1_epi16(static_cast<short>(run.exponent))),
        width_(_mm512_set1_epi16(static_cast<short>(run.width))),
        floor_(_mm512_set1_epi16(static_cast<short>((run.exponent - 1) << kMantissa))) {}

  void Decode(const uint8_t* q, const uint8_t* nibbles, size_t count, BitCursor* low_bits,
              SmallCells* small, uint8_t* out) const {
    size_t done = 0;
    for (; done + kStep <= count; done += kStep) {
      Step(q + done, nibbles + done, ~__mmask64{0}, low_bits, small, out + 2 * done);
    }
    if (done == count) return;
    Step(q + done, nibbles + done, FirstLanes(count - done), low_bits, small, out + 2 * done);
  }

 private:
  // The lanes that are set.
  void Step(const uint8_t* q, const uint8_t* nibbles, __mmask64 lanes, BitCursor* low_bits,
            SmallCells* small, uint8_t* out) const {
    const __m512i a = predictor_.Patterns(q, static_cast<__mmask32>(lanes));
    const __m512i b = predictor_.Patterns(q + 32, static_cast<__mmask32>(lanes >> 32));
    const __m512i width = _mm512_maskz_permutex2var_epi8(lanes, Left(a), EvenBytes(), Left(b));
    const __m512i field = _mm512_and_si512(
        TakeFields(LoadStream(*low_bits), width, &low_bits->position), Ones(width));
    const uint64_t lower = Put(a, _mm512_castsi512_si256(field), nibbles, lanes, out);
    const uint64_t upper =
        Put(b, _mm512_extracti64x4_epi64(field, 1), nibbles + 32, lanes >> 32, out + 64);
    small->Add(lower | upper << 32, exponent_, out);
  }

  // Low bits of the residuals to these.
  __m512i Left(__m512i pattern) const {
    const __m512i field = _mm512_srli_epi16(_mm512_slli_epi16(pattern, 1), kMantissa + 1);
    return _mm512_subs_epu16(width_, _mm512_subs_epu16(field, octave_));
  }

  // Puts out 32 values, as they are where cells have no further bits. Returns where they may.
  __mmask32 Put(__m512i pattern, __m256i field, const uint8_t* nibbles, __mmask64 lanes,
                uint8_t* out) const {
    const auto to_put = static_cast<__mmask32>(lanes);
    const __m512i magnitude = _mm512_set1_epi16(0x7fff);
    // Not below the floor but for zero, whose cell is zero.
    const __m512i predicted = _mm512_subs_epu16(_mm512_and_si512(pattern, magnitude), floor_);
    const __m512i nibble = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(to_put, nibbles));
    const __m512i high =
        _mm512_sllv_epi16(_mm512_sub_epi16(nibble, _mm512_set1_epi16(8)), Left(pattern));
    const __m512i sum =
        _mm512_add_epi16(_mm512_add_epi16(predicted, high), _mm512_cvtepu8_epi16(field));
    const __m512i cell = _mm512_abs_epi16(sum);
    const __m512i sign = _mm512_xor_si512(sum, pattern);
    const __m512i value =
        _mm512_ternarylogic_epi32(magnitude, _mm512_add_epi16(cell, floor_), sign, 0xca);
    _mm512_mask_storeu_epi16(out, to_put, value);
    return _mm512_mask_cmplt_epu16_mask(to_put, cell, _mm512_set1_epi16(1 << kMantissa));
  }

  uint32_t exponent_;
  Predictor predictor_;
  __m512i octave_;
  __m512i width_;
  __m512i floor_;
};

}  // namespace

namespace avx512 {

void Residual16(const uint8_t* q, const uint8_t* nibbles, const ResidualRun* runs, size_t run_count,
                BitCursor* low_bits, BitCursor* extra_bits, uint8_t* out) {
  SmallCells small(out, extra_bits);
  for (size_t r = 0; r < run_count; ++r) {
    const ResidualRun& run = runs[r];
    if (run.is_bf16 && run.width <= kMostWidth && run.scale > 0) {
      RunDecoder(run).Decode(q, nibbles, run.count, low_bits, &small, out);
    } else {
      small.Finish();
      loops::Residual16(q, nibbles, &run, 1, low_bits, extra_bits, out);
    }
    q += run.count;
    nibbles += run.count;
    out += 2 * size_t{run.count};
  }
  small.Finish();
}

}  // namespace avx512
}  // namespace qstore::codec
