// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/dtype.h"

// Blocks of quantized weights, as ggml has them, taken apart into streams: scales, minima, codes.
// docs/format-ggml.md, "Blocks".

namespace qstore::codec {

/// What a stream holds.
enum class StreamKind : uint8_t {
  kHalf,     ///< F16, two bytes each.
  kSymbols,  ///< Numbers of at most 8 bits.
  kSigned,   ///< Signed bytes.
  kCodes,    ///< Codes of the weights, in their order; always the last stream.
};

struct BlockStream {
  StreamKind kind = StreamKind::kSymbols;
  unsigned per_block = 0;
  unsigned bits = 8;  ///< Of kSymbols and kCodes; codes of 8 bits are signed.
  constexpr size_t bytes_per_block() const {
    return per_block * (kind == StreamKind::kHalf ? size_t{2} : size_t{1});
  }
};

inline constexpr size_t kMaxBlockStreams = 6;
inline constexpr unsigned kZeroPlaces = 64;

/// How blocks of a type are taken apart: the streams, put together, are the block again.
struct BlockLayout {
  unsigned weights = 0;  ///< In a block.
  unsigned bytes = 0;    ///< Of a block.
  std::span<const BlockStream> streams;
  /// Of `count` blocks; streams lie apart, each with its bytes of all blocks end to end.
  void (*split)(const uint8_t* blocks, size_t count, uint8_t* const* streams) = nullptr;
  void (*merge)(const uint8_t* const* streams, size_t count, uint8_t* blocks) = nullptr;

  /// Of blocks whose codes count from a minimum: for each sub-block of `per_sub` weights where
  /// between its codes zero lies, in half codes, below kZeroPlaces. Null for others.
  void (*zeros)(const uint8_t* const* streams, size_t count, uint8_t* places) = nullptr;
  unsigned per_sub = 0;

  bool has_codes() const { return streams.back().kind == StreamKind::kCodes; }
  size_t codes() const { return streams.size() - 1; }  ///< Where has_codes.
};

/// Null for other types than blocks.
const BlockLayout* LayoutOfBlocks(DType dtype);

}  // namespace qstore::codec
