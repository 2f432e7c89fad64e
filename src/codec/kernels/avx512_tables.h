// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "codec/kernels/kernels.h"

// What the AVX-512 bin kernels of both directions share; internal linkage, as in vector_loops.h.

namespace qstore::codec {
namespace {

constexpr size_t kRun = 32;  // weights a step of the bin kernels takes

// A table of 128 words in registers.
struct WordTable {
  __m512i part[4];
  explicit WordTable(const uint16_t* words) {
    for (int i = 0; i < 4; ++i) part[i] = _mm512_loadu_si512(words + 32 * i);
  }
  __m512i Look(__m512i index, __mmask32 upper) const {
    const __m512i a = _mm512_permutex2var_epi16(part[0], index, part[1]);
    const __m512i b = _mm512_permutex2var_epi16(part[2], index, part[3]);
    return _mm512_mask_mov_epi16(a, upper, b);
  }
};

// Mask for pdep and threshold of every bin, as the bytes of one word.
void PackTable(const BinTable8* table, uint16_t* packed) {
  for (size_t k = 0; k < kBinCount; ++k) {
    packed[k] = static_cast<uint16_t>(((1u << table->width[k]) - 1) | table->threshold[k] << 8);
  }
}

}  // namespace
}  // namespace qstore::codec
