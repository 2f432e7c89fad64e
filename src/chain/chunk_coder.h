// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/disk_ids.h"
#include "chain/object_spec.h"
#include "qstore/level.h"
#include "qstore/status.h"

namespace qstore::chain {

struct ChunkScratch;

/// Codes chunks of objects. Holds the scratch memory of one thread (a few MiB); make one per
/// thread. Not thread-safe; the result is the same whichever instance did the work.
class ChunkCoder {
 public:
  ChunkCoder();
  ~ChunkCoder();
  ChunkCoder(ChunkCoder&&) noexcept;
  ChunkCoder& operator=(ChunkCoder&&) noexcept;

  /// Codes chunk `chunk` of the object; replaces `*payload`. Returns the codec chosen.
  /// payload->size() <= raw.size() always: content that does not shrink is kept raw.
  /// REQUIRES: raw.size() == spec.chunk_elem_count(chunk) * spec.elem_bytes(), and `parents` as the
  /// relation wants them (an error otherwise).
  Result<ChunkCodec> Encode(const ObjectSpec& spec, Level level, uint64_t chunk,
                            std::span<const std::byte> raw, const ParentBytes& parents,
                            std::vector<std::byte>* payload);

  /// The inverse of Encode: fills `raw`, which has the chunk's exact length. Any payload bytes are
  /// safe: kCorrupt (with the rule broken) or wrong content, which the caller's checksum of the
  /// payload excludes beforehand. Reads nothing outside `payload` and `parents`.
  Status Decode(const ObjectSpec& spec, uint64_t chunk, ChunkCodec codec,
                std::span<const std::byte> payload, const ParentBytes& parents,
                std::span<std::byte> raw);

 private:
  std::unique_ptr<ChunkScratch> scratch_;
};

}  // namespace qstore::chain
