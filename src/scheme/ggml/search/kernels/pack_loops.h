// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// Where the codes of a block lie in its bytes. docs/format-ggml.md, "Bytes of blocks".

namespace qstore::scheme::ggml {
namespace {

// Two codes a byte: those of a run of `kHalf`, and of the next such run in the high bits.
template <size_t kHalf>
inline void PackNibbles(const uint8_t* codes, size_t count, uint8_t* out) {
  for (size_t at = 0; at < count; at += 2 * kHalf, codes += 2 * kHalf, out += kHalf) {
    for (size_t i = 0; i < kHalf; ++i) {
      out[i] = static_cast<uint8_t>(codes[i] & 15) | static_cast<uint8_t>(codes[kHalf + i] << 4);
    }
  }
}

// The low two bits of codes, four a byte, of runs of 32 that follow one another.
inline void PackPairs(const uint8_t* codes, size_t count, uint8_t* out) {
  for (size_t at = 0; at < count; at += 128, codes += 128, out += 32) {
    for (size_t i = 0; i < 32; ++i) {
      out[i] = static_cast<uint8_t>((codes[i] & 3) | (codes[32 + i] & 3) << 2 |
                                    (codes[64 + i] & 3) << 4 | (codes[96 + i] & 3) << 6);
    }
  }
}

// Bit `kBit` of 256 codes: bit k of a byte is that of run k of 32 codes.
template <unsigned kBit>
inline void PackBits(const uint8_t* codes, uint8_t* out) {
  for (size_t i = 0; i < 32; ++i) {
    unsigned bits = 0;
    for (size_t k = 0; k < 8; ++k) bits |= (codes[32 * k + i] >> kBit & 1u) << k;
    out[i] = static_cast<uint8_t>(bits);
  }
}

// Bit 4 of 32 codes, the first the lowest of four bytes.
inline void PackFifthBits(const uint8_t* codes, uint8_t* out) {
  for (size_t at = 0; at < 32; at += 8) {
    uint64_t eight;
    std::memcpy(&eight, codes + at, sizeof(eight));
    // The product has the bits of all bytes, none of which meets another, in its highest byte.
    const uint64_t bits = (eight >> 4 & 0x0101010101010101) * 0x0102040810204080;
    out[at / 8] = static_cast<uint8_t>(bits >> 56);
  }
}

// Eight levels of scales and eight of minima, of six bits, in 12 bytes. Levels of more bits spill.
inline void PackLevels6(const uint8_t* scales, const uint8_t* minima, uint8_t* out) {
  for (size_t j = 0; j < 4; ++j) {
    const unsigned scale = scales[4 + j], minimum = minima[4 + j];
    out[j] = static_cast<uint8_t>(scales[j] | scale >> 4 << 6);
    out[4 + j] = static_cast<uint8_t>(minima[j] | minimum >> 4 << 6);
    out[8 + j] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
  }
}

inline void UnpackLevels6(const uint8_t* packed, uint8_t* scales, uint8_t* minima) {
  for (size_t j = 0; j < 4; ++j) {
    scales[j] = packed[j] & 63;
    minima[j] = packed[4 + j] & 63;
    scales[4 + j] = static_cast<uint8_t>((packed[8 + j] & 15) | packed[j] >> 6 << 4);
    minima[4 + j] = static_cast<uint8_t>(packed[8 + j] >> 4 | packed[4 + j] >> 6 << 4);
  }
}

// Sixteen levels of six bits in 12 bytes.
inline void PackLevels3(const uint8_t* levels, uint8_t* out) {
  std::memset(out, 0, 12);
  for (size_t j = 0; j < 8; ++j) {
    out[j] = static_cast<uint8_t>((levels[j] & 15) | (levels[8 + j] & 15) << 4);
  }
  for (size_t j = 0; j < 16; ++j) {
    out[8 + j % 4] = static_cast<uint8_t>(out[8 + j % 4] | (levels[j] >> 4 & 3) << 2 * (j / 4));
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
