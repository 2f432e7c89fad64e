// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/blocks/block_layout.h"

// Blocks of 256 weights, in sub-blocks of 16 or 32 with scales that share one F16. Layouts of ggml
// (MIT).

namespace qstore::codec {

/// Weight 128 n + 32 j + l is in bits 2 j and 2 j + 1 of byte 32 n + l.
struct TwoBits256 {
  static void Split(const uint8_t* bytes, uint8_t* codes) {
    for (size_t n = 0; n < 2; ++n) {
      for (size_t j = 0; j < 4; ++j) {
        for (size_t l = 0; l < 32; ++l) {
          codes[128 * n + 32 * j + l] = bytes[32 * n + l] >> 2 * j & 3;
        }
      }
    }
  }
  static void Merge(const uint8_t* codes, uint8_t* bytes) {
    for (size_t n = 0; n < 2; ++n) {
      const uint8_t* c = codes + 128 * n;
      for (size_t l = 0; l < 32; ++l) {
        bytes[32 * n + l] = static_cast<uint8_t>((c[l] & 3) | (c[32 + l] & 3) << 2 |
                                                 (c[64 + l] & 3) << 4 | c[96 + l] << 6);
      }
    }
  }
};

/// Weights 64 p + l and 64 p + 32 + l are the halves of byte 32 p + l.
struct FourBits256 {
  static void Split(const uint8_t* bytes, uint8_t* codes) {
    for (size_t p = 0; p < 4; ++p) {
      for (size_t l = 0; l < 32; ++l) codes[64 * p + l] = bytes[32 * p + l] & 15;
      for (size_t l = 0; l < 32; ++l) codes[64 * p + 32 + l] = bytes[32 * p + l] >> 4;
    }
  }
  static void Merge(const uint8_t* codes, uint8_t* bytes) {
    for (size_t p = 0; p < 4; ++p) {
      for (size_t l = 0; l < 32; ++l) {
        bytes[32 * p + l] =
            static_cast<uint8_t>((codes[64 * p + l] & 15) | codes[64 * p + 32 + l] << 4);
      }
    }
  }
};

/// Eight scales and eight minima of 6 bits in 12 bytes.
struct SixBitPairs {
  static void Split(const uint8_t* in, uint8_t* scales, uint8_t* minima) {
    for (size_t k = 0; k < 4; ++k) {
      scales[k] = in[k] & 63;
      minima[k] = in[k + 4] & 63;
      scales[k + 4] = static_cast<uint8_t>((in[k + 8] & 15) | in[k] >> 6 << 4);
      minima[k + 4] = static_cast<uint8_t>(in[k + 8] >> 4 | in[k + 4] >> 6 << 4);
    }
  }
  static void Merge(const uint8_t* scales, const uint8_t* minima, uint8_t* out) {
    for (size_t k = 0; k < 4; ++k) {
      out[k] = static_cast<uint8_t>((scales[k] & 63) | scales[k + 4] >> 4 << 6);
      out[k + 4] = static_cast<uint8_t>((minima[k] & 63) | minima[k + 4] >> 4 << 6);
      out[k + 8] = static_cast<uint8_t>((scales[k + 4] & 15) | minima[k + 4] << 4);
    }
  }
};

struct BlockQ2K {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kBytes = 84;
  static constexpr BlockStream kStreams[] = {{StreamKind::kHalf, 1, 16},
                                             {StreamKind::kHalf, 1, 16},
                                             {StreamKind::kSymbols, 16, 4},
                                             {StreamKind::kSymbols, 16, 4},
                                             {StreamKind::kCodes, 256, 2}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block + 80, 2);
    std::memcpy(streams[1], block + 82, 2);
    for (size_t k = 0; k < 16; ++k) streams[2][k] = block[k] & 15;
    for (size_t k = 0; k < 16; ++k) streams[3][k] = block[k] >> 4;
    TwoBits256::Split(block + 16, streams[4]);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    for (size_t k = 0; k < 16; ++k) {
      block[k] = static_cast<uint8_t>((streams[2][k] & 15) | streams[3][k] << 4);
    }
    TwoBits256::Merge(streams[4], block + 16);
    std::memcpy(block + 80, streams[0], 2);
    std::memcpy(block + 82, streams[1], 2);
  }
};

/// Codes count from -4: the third bit says that it is 0 or more.
struct BlockQ3K {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kBytes = 110;
  static constexpr BlockStream kStreams[] = {
      {StreamKind::kHalf, 1, 16}, {StreamKind::kSymbols, 16, 6}, {StreamKind::kCodes, 256, 3}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block + 108, 2);
    const uint8_t* in = block + 96;
    for (size_t k = 0; k < 16; ++k) {
      const unsigned low = k < 8 ? in[k] & 15u : in[k - 8] >> 4;
      streams[1][k] = static_cast<uint8_t>(low | (in[8 + k % 4] >> 2 * (k / 4) & 3) << 4);
    }
    uint8_t* codes = streams[2];
    TwoBits256::Split(block + 32, codes);
    for (size_t g = 0; g < 8; ++g) {
      for (size_t l = 0; l < 32; ++l) {
        codes[32 * g + l] = static_cast<uint8_t>(codes[32 * g + l] | (block[l] >> g & 1) << 2);
      }
    }
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    const uint8_t* codes = streams[2];
    for (size_t l = 0; l < 32; ++l) block[l] = 0;
    for (size_t g = 0; g < 8; ++g) {
      for (size_t l = 0; l < 32; ++l) {
        block[l] = static_cast<uint8_t>(block[l] | (codes[32 * g + l] >> 2 & 1) << g);
      }
    }
    TwoBits256::Merge(codes, block + 32);
    uint8_t* out = block + 96;
    const uint8_t* scales = streams[1];
    for (size_t k = 0; k < 8; ++k) {
      out[k] = static_cast<uint8_t>((scales[k] & 15) | scales[k + 8] << 4);
    }
    for (size_t k = 0; k < 4; ++k) {
      out[8 + k] = static_cast<uint8_t>((scales[k] >> 4 & 3) | (scales[k + 4] >> 4 & 3) << 2 |
                                        (scales[k + 8] >> 4 & 3) << 4 | scales[k + 12] >> 4 << 6);
    }
    std::memcpy(block + 108, streams[0], 2);
  }
};

/// Bit k of byte l is the fifth bit of weight 32 k + l.
struct FifthBits256 {
  static void Split(const uint8_t* bytes, uint8_t* codes) {
    for (size_t k = 0; k < 8; ++k) {
      for (size_t l = 0; l < 32; ++l) {
        codes[32 * k + l] = static_cast<uint8_t>(codes[32 * k + l] | (bytes[l] >> k & 1) << 4);
      }
    }
  }
  static void Merge(const uint8_t* codes, uint8_t* bytes) {
    for (size_t l = 0; l < 32; ++l) bytes[l] = 0;
    for (size_t k = 0; k < 8; ++k) {
      for (size_t l = 0; l < 32; ++l) {
        bytes[l] = static_cast<uint8_t>(bytes[l] | (codes[32 * k + l] >> 4 & 1) << k);
      }
    }
  }
};

/// Q4_K, and Q5_K with a fifth bit.
template <unsigned kCodeBits>
struct BlockOfPairs {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kFifths = 16;  // Where they are.
  static constexpr unsigned kNibbles = kFifths + (kCodeBits == 5 ? 32 : 0);
  static constexpr unsigned kBytes = kNibbles + 128;
  static constexpr BlockStream kStreams[] = {{StreamKind::kHalf, 1, 16},
                                             {StreamKind::kHalf, 1, 16},
                                             {StreamKind::kSymbols, 8, 6},
                                             {StreamKind::kSymbols, 8, 6},
                                             {StreamKind::kCodes, 256, kCodeBits}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block, 2);
    std::memcpy(streams[1], block + 2, 2);
    SixBitPairs::Split(block + 4, streams[2], streams[3]);
    FourBits256::Split(block + kNibbles, streams[4]);
    if constexpr (kCodeBits == 5) FifthBits256::Split(block + kFifths, streams[4]);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    std::memcpy(block, streams[0], 2);
    std::memcpy(block + 2, streams[1], 2);
    SixBitPairs::Merge(streams[2], streams[3], block + 4);
    if constexpr (kCodeBits == 5) FifthBits256::Merge(streams[4], block + kFifths);
    FourBits256::Merge(streams[4], block + kNibbles);
  }
};

using BlockQ4K = BlockOfPairs<4>;
using BlockQ5K = BlockOfPairs<5>;

struct BlockQ6K {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kBytes = 210;
  static constexpr BlockStream kStreams[] = {
      {StreamKind::kHalf, 1, 16}, {StreamKind::kSigned, 16, 8}, {StreamKind::kCodes, 256, 6}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block + 208, 2);
    std::memcpy(streams[1], block + 192, 16);
    for (size_t n = 0; n < 2; ++n) {
      const uint8_t* low = block + 64 * n;
      const uint8_t* high = block + 128 + 32 * n;
      uint8_t* codes = streams[2] + 128 * n;
      for (size_t l = 0; l < 32; ++l) {
        codes[l] = static_cast<uint8_t>((low[l] & 15) | (high[l] & 3) << 4);
        codes[32 + l] = static_cast<uint8_t>((low[32 + l] & 15) | (high[l] >> 2 & 3) << 4);
        codes[64 + l] = static_cast<uint8_t>(low[l] >> 4 | (high[l] >> 4 & 3) << 4);
        codes[96 + l] = static_cast<uint8_t>(low[32 + l] >> 4 | high[l] >> 6 << 4);
      }
    }
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    for (size_t n = 0; n < 2; ++n) {
      uint8_t* low = block + 64 * n;
      uint8_t* high = block + 128 + 32 * n;
      const uint8_t* c = streams[2] + 128 * n;
      for (size_t l = 0; l < 32; ++l) {
        low[l] = static_cast<uint8_t>((c[l] & 15) | c[64 + l] << 4);
        low[32 + l] = static_cast<uint8_t>((c[32 + l] & 15) | c[96 + l] << 4);
        high[l] = static_cast<uint8_t>((c[l] >> 4 & 3) | (c[32 + l] >> 4 & 3) << 2 |
                                       (c[64 + l] >> 4 & 3) << 4 | c[96 + l] >> 4 << 6);
      }
    }
    std::memcpy(block + 192, streams[1], 16);
    std::memcpy(block + 208, streams[0], 2);
  }
};

struct BlockIq4Xs {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kBytes = 136;
  static constexpr BlockStream kStreams[] = {
      {StreamKind::kHalf, 1, 16}, {StreamKind::kSymbols, 8, 6}, {StreamKind::kCodes, 256, 4}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block, 2);
    const unsigned high = block[2] | static_cast<unsigned>(block[3]) << 8;
    for (size_t k = 0; k < 8; ++k) {
      const unsigned low = block[4 + k / 2] >> 4 * (k % 2) & 15;
      streams[1][k] = static_cast<uint8_t>(low | (high >> 2 * k & 3) << 4);
    }
    for (size_t k = 0; k < 8; ++k) {
      for (size_t j = 0; j < 16; ++j) streams[2][32 * k + j] = block[8 + 16 * k + j] & 15;
      for (size_t j = 0; j < 16; ++j) streams[2][32 * k + 16 + j] = block[8 + 16 * k + j] >> 4;
    }
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    std::memcpy(block, streams[0], 2);
    const uint8_t* scales = streams[1];
    unsigned high = 0;
    for (size_t k = 0; k < 8; ++k) high |= (scales[k] >> 4 & 3u) << 2 * k;
    block[2] = static_cast<uint8_t>(high);
    block[3] = static_cast<uint8_t>(high >> 8);
    for (size_t k = 0; k < 4; ++k) {
      block[4 + k] = static_cast<uint8_t>((scales[2 * k] & 15) | scales[2 * k + 1] << 4);
    }
    for (size_t k = 0; k < 8; ++k) {
      const uint8_t* c = streams[2] + 32 * k;
      for (size_t j = 0; j < 16; ++j) {
        block[8 + 16 * k + j] = static_cast<uint8_t>((c[j] & 15) | c[16 + j] << 4);
      }
    }
  }
};

struct BlockTq2_0 {
  static constexpr unsigned kWeights = 256;
  static constexpr unsigned kBytes = 66;
  static constexpr BlockStream kStreams[] = {{StreamKind::kHalf, 1, 16},
                                             {StreamKind::kCodes, 256, 2}};
  static void Split(const uint8_t* block, uint8_t* const* streams) {
    std::memcpy(streams[0], block + 64, 2);
    TwoBits256::Split(block, streams[1]);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    TwoBits256::Merge(streams[1], block);
    std::memcpy(block + 64, streams[0], 2);
  }
};

}  // namespace qstore::codec
