// SPDX-License-Identifier: Apache-2.0
#include "store/whole_buffers.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

WholeBuffers::WholeBuffers(const std::vector<Whole>& wholes, uint64_t limit) : limit_(limit) {
  entries_.reserve(wholes.size());
  uint64_t bytes = 0;
  for (const Whole& whole : wholes) {
    if (whole.place.empty()) bytes += whole.size;
    entries_.push_back({whole, {}});
  }
  may_wait_ = bytes > limit;
}

// Whether the unit is the first to write it, to memory that is not the caller's.
bool WholeBuffers::IsNew(const Use& use) const {
  const Entry& entry = entries_[use.whole];
  return use.writes && entry.counted == 0 && entry.plan.place.empty();
}

uint64_t WholeBuffers::NewBytes(std::span<const Use> uses) const {
  uint64_t bytes = 0;
  for (const Use& use : uses) {
    if (IsNew(use)) bytes += entries_[use.whole].plan.size;
  }
  return bytes;
}

void WholeBuffers::Begin(size_t unit, std::span<const Use> uses) {
  if (!may_wait_) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return next_ == unit && NewBytes(uses) <= limit_ - held_; });
  bool takes_spare = false;
  for (const Use& use : uses) {
    if (!IsNew(use)) continue;
    Entry& entry = entries_[use.whole];
    entry.counted = entry.plan.size;
    held_ += entry.counted;
    takes_spare |= entry.counted == spare_.bytes().size();
  }
  if (!takes_spare && spare_.bytes().size() > limit_ - held_) spare_ = PageMemory();
  ++next_;
  changed_.notify_all();
}

Result<std::span<std::byte>> WholeBuffers::Place(uint32_t whole) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[whole];
  if (entry.plan.place.empty()) {
    // Layers follow one another that have the same size: pages need not be cleared for each.
    if (spare_.bytes().size() == entry.plan.size) {
      entry.memory = std::exchange(spare_, PageMemory());
    } else {
      spare_ = PageMemory();
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
    if (--entry.plan.users > 0) continue;
    held_ -= entry.counted;
    if (!entry.memory.bytes().empty()) {
      spare_ = std::exchange(entry.memory, PageMemory());
      entry.plan.place = {};
    }
  }
  changed_.notify_all();
}

}  // namespace qstore::store
