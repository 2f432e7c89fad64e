// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstring>

#include "codec/kernels/avx512_bf16.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/put_residual_loops.h"
#include "codec/kernels/residual_loops.h"

// Needs AVX-512 F, BW, DQ, VL and BMI2. The encoder of residuals of BF16 whose low fields are
// shorter than a byte: 32 weights a step. Other runs take the loops for compilers.

namespace qstore::codec {
namespace {

constexpr size_t kStep = 32;

__m512i Words(uint32_t value) { return _mm512_set1_epi16(static_cast<short>(value)); }

/// Encodes weights of one run, at most kResidualBlock of them.
class BlockEncoder {
 public:
  explicit BlockEncoder(const ResidualRun& run)
      : exponent_(run.exponent),
        predictor_(run),
        octave_(Words(run.exponent)),
        width_(Words(run.width)),
        floor_(Words((run.exponent - 1u) << kMantissa)),
        lowest_above_(Words(uint32_t{run.exponent} << kMantissa)),
        most_of_zero_(Words(run.exponent <= kMantissa + 1 ? 0x7fff : 0)) {}

  void Encode(const uint8_t* q, const uint8_t* values, size_t count, uint32_t place,
              ResidualSinks* sinks, uint8_t* nibbles) {
    small_count_ = 0;
    for (size_t i = 0; i < count; i += kStep) {
      const size_t left = count - i;
      const __mmask32 lanes = left < kStep ? (1u << left) - 1 : ~0u;
      uint32_t listed = Step(q + i, values + 2 * i, lanes, i, nibbles + i);
      for (; listed != 0; listed = _blsr_u32(listed)) {
        sinks->listed[sinks->listed_count++] =
            place + static_cast<uint32_t>(i) + _tzcnt_u32(listed);
      }
    }
    loops::Extract(low_, low_mask_, count, &sinks->low_bits);
    PutSmall(&sinks->extra_bits);
  }

 private:
  // Those of the lanes that are listed.
  __mmask32 Step(const uint8_t* q, const uint8_t* values, __mmask32 lanes, size_t at,
                 uint8_t* nibbles) {
    const __m512i one = Words(1);
    const __m512i of_magnitude = Words(0x7fff);
    // What is predicted from no steps is zero, of the cell 0, below every octave.
    const __m512i pattern = predictor_.Patterns(q, lanes);
    const __m512i predicted = _mm512_and_si512(pattern, of_magnitude);
    const __m512i left = _mm512_subs_epu16(
        width_, _mm512_subs_epu16(_mm512_srli_epi16(predicted, kMantissa), octave_));
    const __m512i low_mask = _mm512_sub_epi16(_mm512_sllv_epi16(one, left), one);
    const __m512i predicted_cell = _mm512_subs_epu16(predicted, floor_);

    const __m512i value = _mm512_maskz_loadu_epi16(lanes, values);
    const __m512i magnitude = _mm512_and_si512(value, of_magnitude);
    const __m512i field = _mm512_max_epu16(_mm512_srli_epi16(magnitude, kMantissa), one);
    const __m512i significand =
        _mm512_sub_epi16(magnitude, _mm512_slli_epi16(_mm512_sub_epi16(field, one), kMantissa));
    const __m512i below = _mm512_srlv_epi16(significand, _mm512_subs_epu16(octave_, field));
    const __m512i cell = _mm512_mask_sub_epi16(
        below, _mm512_cmpge_epu16_mask(magnitude, lowest_above_), magnitude, floor_);
    const __mmask32 inexact =
        _mm512_mask_testn_epi16_mask(_mm512_cmpgt_epu16_mask(value, most_of_zero_), cell, cell);

    const __mmask32 is_other = _mm512_movepi16_mask(_mm512_xor_si512(value, pattern));
    const __m512i signed_cell = _mm512_mask_sub_epi16(cell, is_other, _mm512_setzero_si512(), cell);
    // What saturates is too far off in any case.
    const __m512i difference = _mm512_subs_epi16(signed_cell, predicted_cell);
    const __m512i high = _mm512_add_epi16(_mm512_srav_epi16(difference, left), Words(8));
    const __mmask32 kept = lanes & ~inexact & _mm512_cmple_epu16_mask(high, Words(15));

    Store(low_ + at, _mm512_maskz_mov_epi16(kept, _mm512_and_si512(difference, low_mask)));
    Store(low_mask_ + at, low_mask);
    _mm256_mask_storeu_epi8(nibbles, lanes,
                            _mm512_cvtepi16_epi8(_mm512_mask_mov_epi16(Words(8), kept, high)));
    AddSmall(_mm512_mask_mov_epi16(predicted_cell, kept, cell),
             _mm512_maskz_mov_epi16(kept, significand), lanes);
    return lanes & ~kept;
  }

  static void Store(uint8_t* at, __m512i words) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_cvtepi16_epi8(words));
  }

  // Cells that may have further bits are few: these are put out when the block is done.
  void AddSmall(__m512i cell, __m512i significand, __mmask32 lanes) {
    const __mmask32 small = _mm512_mask_cmplt_epu16_mask(lanes, cell, Words(1u << kMantissa));
    _mm512_storeu_si512(small_cell_ + small_count_, _mm512_maskz_compress_epi16(small, cell));
    _mm512_storeu_si512(small_value_ + small_count_,
                        _mm512_maskz_compress_epi16(small, significand));
    small_count_ += static_cast<size_t>(_mm_popcnt_u32(small));
  }

  void PutSmall(BitSink* sink) const {
    for (size_t i = 0; i < small_count_; ++i) {
      const uint32_t bits = loops::ExtraBits<true>(small_cell_[i], exponent_);
      const uint64_t used = sink->position & 7;
      uint8_t* const at = sink->bytes + (sink->position >> 3);
      const uint64_t word = (*at & ((1u << used) - 1)) | _bzhi_u64(small_value_[i], bits) << used;
      std::memcpy(at, &word, sizeof(word));
      sink->position += bits;
    }
  }

  uint32_t exponent_;
  Predictor predictor_;
  __m512i octave_;
  __m512i width_;
  __m512i floor_;
  __m512i lowest_above_;
  __m512i most_of_zero_;
  uint8_t low_[loops::kResidualBlock];
  uint8_t low_mask_[loops::kResidualBlock];
  uint16_t small_cell_[loops::kResidualBlock + kStep];
  uint16_t small_value_[loops::kResidualBlock + kStep];
  size_t small_count_ = 0;
};

}  // namespace

namespace avx512 {

void PutResidual16(const uint8_t* q, const uint8_t* values, size_t count, const ResidualRun* run,
                   uint32_t place, ResidualSinks* sinks, uint8_t* nibbles) {
  if (!run->is_bf16 || run->width > kMostWidth || !(run->scale > 0)) {
    loops::PutResidual16(q, values, count, run, place, sinks, nibbles);
    return;
  }
  BlockEncoder encoder(*run);
  for (size_t i = 0; i < count; i += loops::kResidualBlock) {
    const size_t n = count - i < loops::kResidualBlock ? count - i : loops::kResidualBlock;
    encoder.Encode(q + i, values + 2 * i, n, place + static_cast<uint32_t>(i), sinks, nibbles + i);
  }
}

}  // namespace avx512
}  // namespace qstore::codec
