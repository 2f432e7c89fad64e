// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/blocks/block_layout.h"

// Blocks whose fields are streams as they lie: those of codebooks, and those that nobody makes of
// weights by themselves. Layouts of ggml (MIT).

namespace qstore::codec {

template <unsigned kWeightsOf, BlockStream... kFields>
struct FieldBlock {
  static constexpr unsigned kWeights = kWeightsOf;
  static constexpr unsigned kBytes = (0 + ... + static_cast<unsigned>(kFields.bytes_per_block()));
  static constexpr BlockStream kStreams[] = {kFields...};

  static void Split(const uint8_t* block, uint8_t* const* streams) {
    size_t s = 0;
    (CopyField(&block, streams[s++], kFields.bytes_per_block()), ...);
  }
  static void Merge(const uint8_t* const* streams, uint8_t* block) {
    size_t s = 0;
    (PutField(streams[s++], &block, kFields.bytes_per_block()), ...);
  }

 private:
  static void CopyField(const uint8_t** from, uint8_t* to, size_t bytes) {
    std::memcpy(to, *from, bytes);
    *from += bytes;
  }
  static void PutField(const uint8_t* from, uint8_t** to, size_t bytes) {
    std::memcpy(*to, from, bytes);
    *to += bytes;
  }
};

constexpr BlockStream Halves(unsigned count) { return {StreamKind::kHalf, count, 16}; }
constexpr BlockStream Bytes(unsigned count) { return {StreamKind::kSymbols, count, 8}; }
constexpr BlockStream SignedBytes(unsigned count) { return {StreamKind::kSigned, count, 8}; }

using BlockQ8_1 = FieldBlock<32, Halves(1), Halves(1), SignedBytes(32)>;
using BlockQ8K = FieldBlock<256, Bytes(4), SignedBytes(256), Bytes(32)>;
using BlockIq2Xxs = FieldBlock<256, Halves(1), Bytes(64)>;
using BlockIq2Xs = FieldBlock<256, Halves(1), Bytes(64), Bytes(8)>;
using BlockIq2S = FieldBlock<256, Halves(1), Bytes(32), Bytes(32), Bytes(8), Bytes(8)>;
using BlockIq3Xxs = FieldBlock<256, Halves(1), Bytes(64), Bytes(32)>;
using BlockIq3S = FieldBlock<256, Halves(1), Bytes(64), Bytes(8), Bytes(32), Bytes(4)>;
using BlockIq1S = FieldBlock<256, Halves(1), Bytes(32), Bytes(16)>;
using BlockIq1M = FieldBlock<256, Bytes(32), Bytes(16), Bytes(8)>;
using BlockTq1_0 = FieldBlock<256, Bytes(48), Bytes(4), Halves(1)>;
using BlockQ1_0 = FieldBlock<128, Halves(1), Bytes(16)>;
using BlockQ2_0 = FieldBlock<64, Halves(1), Bytes(16)>;

}  // namespace qstore::codec
