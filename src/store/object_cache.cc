// SPDX-License-Identifier: Apache-2.0
#include "store/object_cache.h"

#include "base/pipeline.h"
#include "base/status_macros.h"

namespace qstore::store {
namespace {

constexpr size_t kLarge = size_t{1} << 22;

}  // namespace

Status WholeMemory::Allocate(size_t size) {
  if (size >= kLarge) {
    QSTORE_ASSIGN(large_, PageMemory::Allocate(size));
    bytes_ = large_.bytes();
  } else {
    small_.reset(new std::byte[size]);
    bytes_ = {small_.get(), size};
  }
  return {};
}

std::shared_ptr<ObjectCache::Entry> ObjectCache::Find(ContentId id) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(id);
  if (found != places_.end()) {
    used_.splice(used_.end(), used_, found->second.used);
    return found->second.entry;
  }
  auto entry = std::make_shared<Entry>();
  std::list<ContentId> used = {id};
  places_.emplace(id, Place{entry, 0, used.begin()});
  used_.splice(used_.end(), used);
  return entry;
}

// Forgets what nobody has at hand, those unused for longest first. REQUIRES: the lock.
void ObjectCache::MakeRoom(uint64_t bytes) {
  const auto is_enough = [&] {
    const bool usual = held_ + bytes <= usual_ + entered_ || places_.size() <= kLeastEntries;
    return usual && held_ <= limit_ && bytes <= limit_ - held_;
  };
  for (auto at = used_.begin(); at != used_.end() && !is_enough();) {
    const auto place = places_.find(*at);
    if (place->second.entry.use_count() > 1) {
      ++at;
      continue;
    }
    held_ -= place->second.bytes;
    places_.erase(place);
    at = used_.erase(at);
  }
}

Status ObjectCache::Begin(ContentId id, Entry* entry) {
  entry->has_begun = true;
  const WholeLoader::Shape shape = loader_.shape(id);
  {
    const std::lock_guard lock(mutex_);
    static_assert(sizeof(Entry) + sizeof(Place) <= kEntryBytes);
    const uint64_t bytes = shape.size + sizeof(Entry) + sizeof(Place);
    MakeRoom(bytes);
    held_ += bytes;
    places_.at(id).bytes = bytes;
  }
  QSTORE_TRY(entry->memory.Allocate(shape.size));
  entry->block_count = shape.blocks;
  return {};
}

// Blocks begin in order: when one fails, all before it come to their end.
void ObjectCache::LoadBlocks(ContentId id, Entry* entry, std::unique_lock<std::mutex>* lock) {
  while (entry->next_block < entry->block_count) {
    const size_t block = entry->next_block++;
    ++entry->running;
    lock->unlock();
    Status status = base::Guarded([&] { return loader_.load(id, block, entry->memory.bytes()); });
    lock->lock();
    --entry->running;
    if (status.ok() || block > entry->failed_block) continue;
    entry->failed_block = block;
    entry->error = std::move(status);
    entry->next_block = entry->block_count;
  }
}

// Those who wait share what came of it; who asks later for what failed finds nothing.
void ObjectCache::End(ContentId id, const std::shared_ptr<Entry>& entry) {
  entry->is_done = true;
  if (!entry->error.ok()) {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(id);
    if (found != places_.end() && found->second.entry == entry) {
      held_ -= found->second.bytes;
      used_.erase(found->second.used);
      places_.erase(found);
    }
  }
  entry->changed.notify_all();
}

Result<WholeContent> ObjectCache::Get(ContentId id) {
  const std::shared_ptr<Entry> entry = Find(id);
  std::unique_lock lock(entry->mutex);
  if (!entry->has_begun) {
    entry->error = base::Guarded([&] { return Begin(id, entry.get()); });
  }
  LoadBlocks(id, entry.get(), &lock);
  if (!entry->is_done && entry->running == 0) End(id, entry);
  entry->changed.wait(lock, [&] { return entry->is_done; });
  QSTORE_TRY(entry->error);
  return WholeContent{entry->memory.bytes(), entry};
}

// Who is inside waits for nobody who is not: so all of them come to their end.
Status ObjectCache::Enter(uint32_t object) {
  std::unique_lock lock(mutex_);
  for (auto at = inside_.find(object); at == inside_.end(); at = inside_.find(object)) {
    const uint64_t bytes = loader_.needs ? loader_.needs(object) : 0;
    if (inside_.empty() || (entered_ <= limit_ && bytes <= limit_ - entered_)) {
      at = inside_.emplace(object, Inside{0, bytes}).first;
      entered_ += bytes;
      break;
    }
    left_.wait(lock);
  }
  ++inside_.at(object).threads;
  return {};
}

void ObjectCache::Leave(uint32_t object) {
  const std::lock_guard lock(mutex_);
  const auto at = inside_.find(object);
  if (--at->second.threads > 0) return;
  entered_ -= at->second.bytes;
  inside_.erase(at);
  left_.notify_all();
}

}  // namespace qstore::store
