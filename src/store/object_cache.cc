// SPDX-License-Identifier: Apache-2.0
#include "store/object_cache.h"

#include <exception>
#include <new>
#include <string>

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

std::shared_ptr<ObjectCache::Entry> ObjectCache::Find(uint32_t object) {
  const std::lock_guard lock(mutex_);
  auto& entry = entries_[object];
  if (entry == nullptr) entry = std::make_shared<Entry>();
  return entry;
}

void ObjectCache::Account(uint32_t object, size_t size) {
  const std::lock_guard lock(mutex_);
  loaded_.emplace_back(object, size);
  held_ += size;
  while (held_ > kBudget && loaded_.size() > kLeastEntries) {
    held_ -= loaded_.front().second;
    entries_.erase(loaded_.front().first);
    loaded_.pop_front();
  }
}

void ObjectCache::Begin(uint32_t object, Entry* entry) {
  entry->has_begun = true;
  const WholeLoader::Shape shape = loader_.shape(object);
  entry->error = entry->memory.Allocate(shape.size);
  entry->block_count = entry->error.ok() ? shape.blocks : 0;
}

// Blocks begin in order: when one fails, all before it come to their end.
void ObjectCache::LoadBlocks(uint32_t object, Entry* entry, std::unique_lock<std::mutex>* lock) {
  while (entry->next_block < entry->block_count) {
    const size_t block = entry->next_block++;
    ++entry->running;
    lock->unlock();
    Status status;
    try {
      status = loader_.load(object, block, entry->memory.bytes());
    } catch (const std::bad_alloc&) {
      status = LimitExceeded("out of memory");
    } catch (const std::exception& error) {
      status = InternalError(std::string("unexpected exception: ") + error.what());
    }
    lock->lock();
    --entry->running;
    if (status.ok() || block > entry->failed_block) continue;
    entry->failed_block = block;
    entry->error = std::move(status);
    entry->next_block = entry->block_count;
  }
}

// Those who wait share what came of it; who asks later for what failed finds nothing.
void ObjectCache::End(uint32_t object, const std::shared_ptr<Entry>& entry) {
  entry->is_done = true;
  if (entry->error.ok()) {
    Account(object, entry->memory.bytes().size());
  } else {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(object);
    if (found != entries_.end() && found->second == entry) entries_.erase(found);
  }
  entry->changed.notify_all();
}

Result<WholeContent> ObjectCache::Get(uint32_t object) {
  const std::shared_ptr<Entry> entry = Find(object);
  std::unique_lock lock(entry->mutex);
  if (!entry->has_begun) Begin(object, entry.get());
  LoadBlocks(object, entry.get(), &lock);
  if (!entry->is_done && entry->running == 0) End(object, entry);
  entry->changed.wait(lock, [&] { return entry->is_done; });
  QSTORE_TRY(entry->error);
  return WholeContent{entry->memory.bytes(), entry};
}

}  // namespace qstore::store
