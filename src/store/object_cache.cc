// SPDX-License-Identifier: Apache-2.0
#include "store/object_cache.h"

#include "base/status_macros.h"

namespace qstore::store {
namespace {

constexpr size_t kLarge = size_t{1} << 22;

}  // namespace

Status WholeMemory::Allocate(size_t size) {
  if (size >= kLarge) {
    QSTORE_ASSIGN(large_, base::PageMemory::Allocate(size));
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

Result<WholeContent> ObjectCache::Get(uint32_t object) {
  const std::shared_ptr<Entry> entry = Find(object);
  const std::lock_guard lock(entry->mutex);
  if (!entry->loaded) {
    QSTORE_TRY(loader_(object, &entry->memory));
    entry->loaded = true;
    Account(object, entry->memory.bytes().size());
  }
  return WholeContent{entry->memory.bytes(), entry};
}

}  // namespace qstore::store
