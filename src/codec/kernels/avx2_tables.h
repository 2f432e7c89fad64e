// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "codec/kernels/kernels.h"

// What the AVX2 bin kernels of both directions share; internal linkage, as in vector_loops.h.

namespace qstore::codec {
namespace {

constexpr size_t kRun = 32;  // weights a step of the bin kernels takes

inline __m256i Load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
inline void Store(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}

// Tables of 128 bytes: a shuffle looks an index up in each sixteenth by its low nibble, the upper
// bits choose among what was found.
template <size_t kTables>
struct ByteTables {
  alignas(16) uint8_t bytes[kTables][kBinCount];

  void Look(__m256i index, __m256i* found) const {
    const __m256i bit4 = _mm256_slli_epi16(index, 3);
    const __m256i bit5 = _mm256_slli_epi16(index, 2);
    const __m256i bit6 = _mm256_slli_epi16(index, 1);
    for (size_t t = 0; t < kTables; ++t) {
      const __m256i lower =
          _mm256_blendv_epi8(Pair(t, 0, index, bit4), Pair(t, 2, index, bit4), bit5);
      const __m256i upper =
          _mm256_blendv_epi8(Pair(t, 4, index, bit4), Pair(t, 6, index, bit4), bit5);
      found[t] = _mm256_blendv_epi8(lower, upper, bit6);
    }
  }

 private:
  __m256i Pair(size_t table, size_t part, __m256i index, __m256i odd) const {
    return _mm256_blendv_epi8(Part(table, part, index), Part(table, part + 1, index), odd);
  }
  __m256i Part(size_t table, size_t part, __m256i index) const {
    const auto* entries = reinterpret_cast<const __m128i*>(&bytes[table][16 * part]);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(entries)), index);
  }
};

inline __m256i BinIndex(__m256i q) {
  return _mm256_and_si256(_mm256_abs_epi8(q), _mm256_set1_epi8(0x7f));
}

// The halves of a vector of bytes, each byte of `high` above one of `low`, in the order of
// elements.
struct Words {
  __m256i first;
  __m256i second;
};
inline Words Interleave(__m256i low, __m256i high) {
  const __m256i a = _mm256_unpacklo_epi8(low, high);
  const __m256i b = _mm256_unpackhi_epi8(low, high);
  return {_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)};
}

}  // namespace
}  // namespace qstore::codec
