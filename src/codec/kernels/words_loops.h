// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// Words of 32 bits that hold integers of several inputs, compiled anew, with internal linkage, for
// every instruction set. See Kernels.

namespace qstore::codec {
namespace {

namespace loops {

inline uint32_t LoadWord32(const uint8_t* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

inline void StoreWord32(uint32_t word, uint8_t* at) { std::memcpy(at, &word, sizeof(word)); }

// Integers that no word splits.
template <unsigned kBits>
void UnpackWhole(const uint8_t* __restrict words, size_t rows, size_t columns,
                 uint8_t* __restrict out) {
  constexpr unsigned kEach = 32 / kBits;
  for (size_t r = 0; r < rows; ++r, out += columns) {
    const uint8_t* row = words + r / kEach * columns * 4;
    const unsigned shift = r % kEach * kBits;
    for (size_t c = 0; c < columns; ++c) {
      out[c] = static_cast<uint8_t>(LoadWord32(row + 4 * c) >> shift & ((1u << kBits) - 1));
    }
  }
}

template <unsigned kBits>
void PackWhole(const uint8_t* __restrict in, size_t rows, size_t columns,
               uint8_t* __restrict words) {
  constexpr unsigned kEach = 32 / kBits;
  for (size_t r = 0; r < rows; r += kEach, in += kEach * columns, words += 4 * columns) {
    for (size_t c = 0; c < columns; ++c) {
      uint32_t word = 0;
      for (unsigned k = 0; k < kEach; ++k) {
        word |= static_cast<uint32_t>(in[k * columns + c]) << (k * kBits);
      }
      StoreWord32(word, words + 4 * c);
    }
  }
}

inline void UnpackThree(const uint8_t* __restrict words, size_t rows, size_t columns,
                        uint8_t* __restrict out) {
  for (size_t r = 0; r < rows; ++r, out += columns) {
    const size_t bit = 3 * r;
    const uint8_t* low = words + bit / 32 * columns * 4;
    const unsigned shift = bit % 32;
    const uint8_t* high = shift > 29 ? low + columns * 4 : low;
    for (size_t c = 0; c < columns; ++c) {
      const uint64_t pair = LoadWord32(low + 4 * c) | uint64_t{LoadWord32(high + 4 * c)} << 32;
      out[c] = static_cast<uint8_t>(pair >> shift & 7);
    }
  }
}

inline void PackThree(const uint8_t* in, size_t rows, size_t columns, uint8_t* words) {
  std::memset(words, 0, rows * 3 / 32 * columns * 4);
  for (size_t r = 0; r < rows; ++r, in += columns) {
    const size_t bit = 3 * r;
    const unsigned shift = bit % 32;
    uint8_t* low = words + bit / 32 * columns * 4;
    for (size_t c = 0; c < columns; ++c) {
      const uint64_t placed = uint64_t{in[c]} << shift;
      StoreWord32(LoadWord32(low + 4 * c) | static_cast<uint32_t>(placed), low + 4 * c);
      if (shift <= 29) continue;
      uint8_t* high = low + 4 * (columns + c);
      StoreWord32(LoadWord32(high) | static_cast<uint32_t>(placed >> 32), high);
    }
  }
}

inline void UnpackInputs(const uint8_t* words, unsigned bits, size_t rows, size_t columns,
                         uint8_t* out) {
  if (bits == 8) return UnpackWhole<8>(words, rows, columns, out);
  if (bits == 4) return UnpackWhole<4>(words, rows, columns, out);
  if (bits == 2) return UnpackWhole<2>(words, rows, columns, out);
  UnpackThree(words, rows, columns, out);
}

inline void PackInputs(const uint8_t* in, unsigned bits, size_t rows, size_t columns,
                       uint8_t* words) {
  if (bits == 8) return PackWhole<8>(in, rows, columns, words);
  if (bits == 4) return PackWhole<4>(in, rows, columns, words);
  if (bits == 2) return PackWhole<2>(in, rows, columns, words);
  PackThree(in, rows, columns, words);
}

// Four rows at a time: as many lines of a cache hold what rows far apart have side by side.
inline void TransposeWords(const uint8_t* in, size_t in_pitch, size_t rows, size_t columns,
                           uint8_t* out, size_t out_pitch) {
  size_t r = 0;
#if defined(__SSE2__)
  for (; r + 4 <= rows; r += 4) {
    const uint8_t* row = in + r * in_pitch;
    size_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      const auto load = [&](size_t k) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + k * in_pitch + 4 * c));
      };
      const __m128i a = load(0), b = load(1), d = load(2), e = load(3);
      const __m128i ab = _mm_unpacklo_epi32(a, b), de = _mm_unpacklo_epi32(d, e);
      const __m128i ab2 = _mm_unpackhi_epi32(a, b), de2 = _mm_unpackhi_epi32(d, e);
      const auto store = [&](size_t k, __m128i words) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (c + k) * out_pitch + 4 * r), words);
      };
      store(0, _mm_unpacklo_epi64(ab, de));
      store(1, _mm_unpackhi_epi64(ab, de));
      store(2, _mm_unpacklo_epi64(ab2, de2));
      store(3, _mm_unpackhi_epi64(ab2, de2));
    }
    for (; c < columns; ++c) {
      for (size_t k = 0; k < 4; ++k) {
        std::memcpy(out + c * out_pitch + 4 * (r + k), row + k * in_pitch + 4 * c, 4);
      }
    }
  }
#endif
  for (; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) {
      std::memcpy(out + c * out_pitch + 4 * r, in + r * in_pitch + 4 * c, 4);
    }
  }
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
