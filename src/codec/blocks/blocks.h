// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/blocks/block_layout.h"
#include "codec/context_rans.h"
#include "codec/floating.h"
#include "qstore/status.h"

namespace qstore::codec {

/// The streams of some blocks, and what coding them takes; kept from chunk to chunk.
struct BlockScratch {
  std::vector<uint8_t> streams[kMaxBlockStreams];
  std::vector<uint8_t> packed;
  std::vector<uint8_t> zeros;
  std::vector<uint8_t> contexts;
  ContextRansScratch rans;
  PlaneScratch planes;

  /// Makes room for the streams of `count` blocks. They lie there until the next call.
  void Resize(const BlockLayout& layout, size_t count);
  uint8_t* stream(size_t s) { return streams[s].data(); }
};

/// Takes blocks apart: fills the streams.
void SplitBlocks(const BlockLayout& layout, std::span<const std::byte> blocks,
                 BlockScratch* scratch);
/// The inverse: fills `blocks` from as many of each stream.
void MergeBlocks(const BlockLayout& layout, BlockScratch* scratch, std::span<std::byte> blocks);

/// Appends a stream of `count` blocks: floats, signed bytes or plane streams, as its kind is.
void EncodeBlockStream(const BlockStream& stream, size_t count, size_t s, Effort effort,
                       BlockScratch* scratch, std::vector<std::byte>* out);
/// The inverse; fills the stream. Errors: kCorrupt.
Status DecodeBlockStream(const BlockStream& stream, size_t count, size_t s,
                         base::ByteReader* payload, BlockScratch* scratch);

/// Appends whole blocks, stream after stream.
void EncodeBlocks(const BlockLayout& layout, Effort effort, std::span<const std::byte> raw,
                  BlockScratch* scratch, std::vector<std::byte>* out);
/// The inverse; fills `raw`. Errors: kCorrupt.
Status DecodeBlocks(const BlockLayout& layout, base::ByteReader* payload, BlockScratch* scratch,
                    std::span<std::byte> raw);

/// The same with codes by context, which takes fewer bytes and more time. REQUIRES: layout.zeros.
void EncodeBlocksByZero(const BlockLayout& layout, Effort effort, std::span<const std::byte> raw,
                        BlockScratch* scratch, std::vector<std::byte>* out);
/// The inverse. Errors: kCorrupt.
Status DecodeBlocksByZero(const BlockLayout& layout, base::ByteReader* payload,
                          BlockScratch* scratch, std::span<std::byte> raw);

}  // namespace qstore::codec
