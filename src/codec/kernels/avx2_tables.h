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

// Tables of 128 bytes, looked up 16 entries at a time: an index whose high nibble is another gets
// its top bit set, for which a byte shuffle gives zero.
template <size_t kTables>
struct ByteTables {
  alignas(16) uint8_t bytes[kTables][kBinCount];

  void Look(__m256i index, __m256i* found) const {
    for (size_t t = 0; t < kTables; ++t) found[t] = _mm256_setzero_si256();
    for (size_t part = 0; part < kBinCount; part += 16) {
      const __m256i here = _mm256_xor_si256(index, _mm256_set1_epi8(static_cast<char>(part)));
      const __m256i select = _mm256_adds_epu8(here, _mm256_set1_epi8(0x70));
      for (size_t t = 0; t < kTables; ++t) {
        const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(&bytes[t][part]));
        const __m256i hit = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), select);
        found[t] = _mm256_or_si256(found[t], hit);
      }
    }
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
