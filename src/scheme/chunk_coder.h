// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/disk_ids.h"
#include "qstore/level.h"
#include "qstore/status.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// What the scheme of a chunk's object knows of it; for an object without scheme, nothing.
struct Given {
  const Bound* bound = nullptr;
  std::span<const ParentContent> parents;  ///< As many as `bound` has.
};

/// Codes chunks of objects, by their scheme or alone. Holds the scratch memory of one thread (a few
/// MiB); make one per thread. Not thread-safe; the result is the same whichever instance did the
/// work.
class ChunkCoder {
 public:
  ChunkCoder();
  ~ChunkCoder();
  ChunkCoder(ChunkCoder&&) noexcept;
  ChunkCoder& operator=(ChunkCoder&&) noexcept;

  /// Codes chunk `chunk` of the object; replaces `*payload`. Returns the codec chosen.
  /// payload->size() <= raw.size() always: content that does not shrink is kept raw.
  /// REQUIRES: raw.size() == spec.chunk_elem_count(chunk) * spec.elem_bytes().
  /// Errors: kCorrupt when parents do not have the sizes that the scheme wants.
  Result<ChunkCodec> Encode(const ObjectSpec& spec, Level level, uint64_t chunk,
                            std::span<const std::byte> raw, const Given& given,
                            std::vector<std::byte>* payload);

  /// The inverse of Encode: fills `raw`, which has the chunk's exact length. Any payload bytes are
  /// safe: kCorrupt (with the rule broken) or wrong content, which the caller's checksum of the
  /// payload excludes beforehand. Reads nothing outside `payload` and `given`.
  Status Decode(const ObjectSpec& spec, uint64_t chunk, ChunkCodec codec,
                std::span<const std::byte> payload, const Given& given, std::span<std::byte> raw);

 private:
  std::unique_ptr<Scratch> scratch_;
};

/// Whether parents have the sizes that the elements want. kCorrupt otherwise.
Status CheckContents(const Given& given, const ChunkAt& at);

}  // namespace qstore::scheme
