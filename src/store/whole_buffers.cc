// SPDX-License-Identifier: Apache-2.0
#include "store/whole_buffers.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

WholeBuffers::WholeBuffers(std::vector<Whole> wholes) {
  entries_.reserve(wholes.size());
  for (Whole& whole : wholes) entries_.push_back({whole, {}});
}

Result<std::span<std::byte>> WholeBuffers::Place(uint32_t whole) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[whole];
  if (entry.plan.place.empty()) {
    // Layers follow one another that have the same size: pages need not be cleared for each.
    if (spare_.bytes().size() == entry.plan.size) {
      entry.memory = std::exchange(spare_, PageMemory());
    } else {
      QSTORE_ASSIGN(entry.memory, PageMemory::Allocate(entry.plan.size));
    }
    entry.plan.place = entry.memory.bytes();
  }
  return entry.plan.place;
}

Result<std::span<const std::byte>> WholeBuffers::Take(uint32_t whole) {
  std::unique_lock lock(mutex_);
  const Entry& entry = entries_[whole];
  changed_.wait(lock, [&] { return entry.plan.writers == 0; });
  if (!entry.is_damaged) return std::span<const std::byte>(entry.plan.place);
  return Status(ErrorCode::kCancelled, "what a chunk needs could not be decoded");
}

void WholeBuffers::Finish(std::span<const Use> uses, bool ok) {
  const std::lock_guard lock(mutex_);
  for (const Use& use : uses) {
    Entry& entry = entries_[use.whole];
    if (use.writes) {
      --entry.plan.writers;
      entry.is_damaged = entry.is_damaged || !ok;
    }
    if (--entry.plan.users == 0 && !entry.memory.bytes().empty()) {
      spare_ = std::exchange(entry.memory, PageMemory());
      entry.plan.place = {};
    }
  }
  changed_.notify_all();
}

}  // namespace qstore::store
