// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_set>

#include "qstore/status.h"
#include "store/archive_file.h"

namespace qstore::store {

/// Adds what decoding chunks of an object and of its ancestors holds whole, parents of parents
/// included, to `wholes`. Returns the bytes added.
uint64_t AddWholeNeeds(const ArchiveFile& archive, uint32_t object,
                       std::unordered_set<uint32_t>* wholes);
/// The same for one object that is itself held whole.
uint64_t AddHeldWhole(const ArchiveFile& archive, uint32_t object,
                      std::unordered_set<uint32_t>* wholes);

/// The same for the chunks of a parent that have what one chunk takes of it.
uint64_t AddRangeNeeds(const ArchiveFile& archive, const ObjectGraph::RangeParent& range,
                       std::unordered_set<uint32_t>* wholes);

/// Whether chunks of an object, or of its ancestors, take anything whole.
bool TakesWholes(const ArchiveFile& archive, uint32_t object);

/// What decoding takes at most.
struct MemoryNeeds {
  uint64_t thread = 0;  ///< Each thread, for payloads, ancestors' chunks and the coders.
  uint64_t wholes = 0;  ///< Contents that are held whole at once, for all threads.
  uint64_t chunk = 0;   ///< The largest chunk.
  uint32_t object = 0;  ///< The one that takes most.

  /// What takes no less than either.
  void Join(const MemoryNeeds& other) {
    if (other.thread + other.wholes > thread + wholes) object = other.object;
    thread = std::max(thread, other.thread);
    wholes = std::max(wholes, other.wholes);
    chunk = std::max(chunk, other.chunk);
  }
};

/// Those of one object, when it is decoded with its ancestors.
MemoryNeeds NeedsOf(const ArchiveFile& archive, uint32_t object);

/// Memory dealt out.
struct MemoryShares {
  unsigned threads = 1;
  uint64_t items = 1;   ///< Contents in flight.
  uint64_t wholes = 0;  ///< What is left for contents held whole.
};

/// Deals `memory` out to as many threads as it is enough for, at most `threads`, and up to three
/// items of `item_bytes` for each. Errors: kLimit, naming the object, when it is not for one.
Result<MemoryShares> ShareMemory(const ArchiveFile& archive, const MemoryNeeds& needs,
                                 unsigned threads, uint64_t item_bytes, uint64_t memory);

}  // namespace qstore::store
