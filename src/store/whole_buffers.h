// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

#include "qstore/page_memory.h"
#include "qstore/status.h"

namespace qstore::store {

/// Contents that some units of a read put together chunk by chunk, many at a time, and later units
/// take whole. Memory for one is there from the first unit that writes to it to the end of the last
/// one that uses it. Thread-safe.
class WholeBuffers {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  struct Whole {
    uint32_t object = 0;
    size_t size = 0;
    std::span<std::byte> place = {};  ///< The caller's, of that size; empty: there is none.
    size_t writers = 0;               ///< Units that fill it.
    size_t users = 0;                 ///< Those and the units that take it.
  };
  /// What a unit does with a whole.
  struct Use {
    uint32_t whole = 0;
    bool writes = false;
  };

  /// Memory of its own takes at most `limit` bytes. REQUIRES: that is enough for all that units up
  /// to any one have begun to write and later ones use.
  WholeBuffers(const std::vector<Whole>& wholes, uint64_t limit);

  /// A unit begins. Waits until those before it have, and until there is memory for what it is the
  /// first to write. REQUIRES: called for every unit, each of which ends whatever others do.
  void Begin(size_t unit, std::span<const Use> uses);

  uint32_t object(uint32_t whole) const { return entries_[whole].plan.object; }

  /// Where a unit that writes it puts its chunks. Errors: kLimit.
  Result<std::span<std::byte>> Place(uint32_t whole);

  /// Waits for the units that write it. REQUIRES: these have begun. Errors: kCancelled when one of
  /// them failed, whose error is the one to be told.
  Result<std::span<const std::byte>> Take(uint32_t whole);

  /// A unit ends. REQUIRES: called for every unit begun, as others may wait for it.
  void Finish(std::span<const Use> uses, bool ok);

 private:
  struct Entry {
    Whole plan;
    PageMemory memory;
    uint64_t counted = 0;     // In held_.
    bool is_damaged = false;  // A unit that writes it failed.
  };

  bool IsNew(const Use& use) const;
  uint64_t NewBytes(std::span<const Use> uses) const;

  const uint64_t limit_;
  bool may_wait_ = false;  // All of them together exceed the limit.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> entries_;
  PageMemory spare_;   // Of the last one let go.
  uint64_t held_ = 0;  // Of units begun.
  size_t next_ = 0;    // The unit to begin.
};

}  // namespace qstore::store
