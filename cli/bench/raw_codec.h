// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "qstore/status.h"

namespace qstore::cli {

/// A general compressor, by its own library. Not thread-safe: one for each thread.
class RawCodec {
 public:
  virtual ~RawCodec() = default;
  /// Returns: the bytes written to `out`, which has the size of `raw`; 0 when they do not suffice.
  virtual size_t Compress(std::span<const std::byte> raw, std::span<std::byte> out) = 0;
  /// Returns: whether `stored` gave exactly the size of `out`.
  virtual bool Decompress(std::span<const std::byte> stored, std::span<std::byte> out) = 0;
};

/// Makes a codec; empty for none.
using RawCodecFactory = std::function<std::unique_ptr<RawCodec>()>;
RawCodecFactory Lz4Codec();
RawCodecFactory ZstdCodec(int level);

/// What a thread has to itself.
struct ChunkWorker {
  std::unique_ptr<RawCodec> codec;  // Null for none.
  std::vector<std::byte> in;
  std::vector<std::byte> out;
};

/// Calls `work` with each of 0 … count - 1, on so many threads. Returns: the first error.
Status ForChunks(size_t count, unsigned threads, const RawCodecFactory& codec,
                 const std::function<Status(size_t chunk, ChunkWorker* worker)>& work);

}  // namespace qstore::cli
