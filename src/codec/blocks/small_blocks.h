// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "codec/blocks/block_layout.h"

// Blocks with scales of their own: of 32 weights, and NVFP4 of 64. Layouts of ggml (MIT).

namespace qstore::codec {

/// Codes of 4 bits of `kCount` weights: weight j is the low half of byte j, weight j + kCount / 2
/// the high one.
template <size_t kCount>
struct NibbleHalves {
  static void Split(const uint8_t* bytes, uint8_t* codes) {
    constexpr size_t kHalf = kCount / 2;
    for (size_t j = 0; j < kHalf; ++j) codes[j] = bytes[j] & 15;
    for (size_t j = 0; j < kHalf; ++j) codes[j + kHalf] = bytes[j] >> 4;
  }
  static void Merge(const uint8_t* codes, uint8_t* bytes) {
    constexpr size_t kHalf = kCount / 2;
    for (size_t j = 0; j < kHalf; ++j) {
      bytes[j] = static_cast<uint8_t>((codes[j] & 15) | codes[j + kHalf] << 4);
    }
  }
};

/// Bit j of a word is the fifth bit of weight j.
struct FifthBits {
  static void Split(const uint8_t* word, uint8_t* codes) {
    const auto bits = base::LoadLe<uint32_t>(word);
    for (unsigned j = 0; j < 32; ++j) {
      codes[j] = static_cast<uint8_t>(codes[j] | (bits >> j & 1) << 4);
    }
  }
  static void Merge(const uint8_t* codes, uint8_t* word) {
    uint32_t bits = 0;
    for (unsigned j = 0; j < 32; ++j) bits |= uint32_t{codes[j] >> 4 & 1U} << j;
    base::StoreLe<uint32_t>(word, bits);
  }
};

/// 32 weights: a scale, with two halves a minimum too; the fifth bits of codes that have such; the
/// low four bits.
template <unsigned kHalves, unsigned kCodeBits>
struct Block32 {
  static constexpr unsigned kWeights = 32;
  static constexpr unsigned kFifths = 2 * kHalves;  // Where they are.
  static constexpr unsigned kNibbles = kFifths + (kCodeBits == 5 ? 4 : 0);
  static constexpr unsigned kBytes = kNibbles + 16;
  static constexpr std::array<BlockStream, kHalves + 1> kStreams = [] {
    std::array<BlockStream, kHalves + 1> streams;
    streams.fill({StreamKind::kHalf, 1, 16});
    streams.back() = {StreamKind::kCodes, 32, kCodeBits};
    return streams;
  }();

  static void Split(const uint8_t* block, uint8_t* const* streams) {
    for (size_t s = 0; s < kHalves; ++s) std::memcpy(streams[s], block + 2 * s, 2);
    NibbleHalves<32>::Split(block + kNibbles, streams[kHalves]);
    if constexpr (kCodeBits == 5) FifthBits::Split(block + kFifths, streams[kHalves]);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    for (size_t s = 0; s < kHalves; ++s) std::memcpy(block + 2 * s, streams[s], 2);
    if constexpr (kCodeBits == 5) FifthBits::Merge(streams[kHalves], block + kFifths);
    NibbleHalves<32>::Merge(streams[kHalves], block + kNibbles);
  }
};

using BlockQ4_0 = Block32<1, 4>;  ///< Also IQ4_NL, whose codes are places in a table.
using BlockQ4_1 = Block32<2, 4>;
using BlockQ5_0 = Block32<1, 5>;
using BlockQ5_1 = Block32<2, 5>;

struct BlockQ8_0 {
  static constexpr unsigned kWeights = 32;
  static constexpr unsigned kBytes = 34;
  static constexpr BlockStream kStreams[] = {{StreamKind::kHalf, 1, 16},
                                             {StreamKind::kCodes, 32, 8}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block, 2);
    std::memcpy(streams[1], block + 2, 32);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    std::memcpy(block, streams[0], 2);
    std::memcpy(block + 2, streams[1], 32);
  }
};

struct BlockMxfp4 {
  static constexpr unsigned kWeights = 32;
  static constexpr unsigned kBytes = 17;
  static constexpr BlockStream kStreams[] = {{StreamKind::kSymbols, 1, 8},
                                             {StreamKind::kCodes, 32, 4}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    streams[0][0] = block[0];
    NibbleHalves<32>::Split(block + 1, streams[1]);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    block[0] = streams[0][0];
    NibbleHalves<32>::Merge(streams[1], block + 1);
  }
};

struct BlockNvfp4 {
  static constexpr unsigned kWeights = 64;
  static constexpr unsigned kBytes = 36;
  static constexpr BlockStream kStreams[] = {{StreamKind::kSymbols, 4, 8},
                                             {StreamKind::kCodes, 64, 4}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block, 4);
    for (size_t s = 0; s < 4; ++s) {
      NibbleHalves<16>::Split(block + 4 + 8 * s, streams[1] + 16 * s);
    }
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    std::memcpy(block, streams[0], 4);
    for (size_t s = 0; s < 4; ++s) {
      NibbleHalves<16>::Merge(streams[1] + 16 * s, block + 4 + 8 * s);
    }
  }
};

}  // namespace qstore::codec
