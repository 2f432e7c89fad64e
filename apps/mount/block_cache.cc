// SPDX-License-Identifier: Apache-2.0
#include "mount/block_cache.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"

namespace qstore::mount {

std::span<const std::byte> BlockCache::Hold::bytes() const {
  return place_->memory.first(static_cast<size_t>(place_->block.end - place_->block.begin));
}

void BlockCache::Hold::Use(size_t bytes) const {
  const Lock lock(cache_->mutex_);
  place_->used_up += bytes;
}

Result<std::unique_ptr<BlockCache>> BlockCache::Make(const Options& options, Load load) {
  if (options.place_bytes == 0 || options.places > SIZE_MAX / 2 / options.place_bytes) {
    return LimitExceeded("no memory holds " + std::to_string(options.places) + " blocks of " +
                         std::to_string(options.place_bytes) + " bytes");
  }
  QSTORE_ASSIGN(PageMemory memory, PageMemory::Allocate(options.places * options.place_bytes));
  return std::unique_ptr<BlockCache>(new BlockCache(options, std::move(load), std::move(memory)));
}

BlockCache::BlockCache(const Options& options, Load load, PageMemory memory)
    : options_(options),
      load_(std::move(load)),
      memory_(std::move(memory)),
      places_(options.places),
      threads_(
          [this](const base::PoolTurn& turn) {
            bool has_more = false;
            static_cast<void>(base::Guarded([&] {
              has_more = LoadAhead(turn);
              return Status();
            }));
            return has_more;
          },
          options.kind) {
  for (size_t p = 0; p < places_.size(); ++p) {
    places_[p].memory = memory_.bytes().subspan(p * options_.place_bytes, options_.place_bytes);
    places_[p].used = used_.insert(used_.end(), &places_[p]);
  }
}

BlockCache::~BlockCache() {
  {
    const Lock lock(mutex_);
    queue_.clear();
  }
  threads_.Stop();
}

// A place that nobody is at, now free; null when there is none. REQUIRES: the lock.
BlockCache::Place* BlockCache::FindRoom() {
  const auto found = std::find_if(used_.begin(), used_.end(), [](const Place* place) {
    return place->holds == 0 && place->state != State::kLoading;
  });
  if (found == used_.end()) return nullptr;
  Place* const place = *found;
  Leave(place);
  return place;
}

// REQUIRES: the lock, and nobody holds it.
void BlockCache::Leave(Place* place) {
  if (place->state != State::kFree) known_.erase(place->block);
  if (std::exchange(place->is_ahead, false)) --ahead_;
  place->state = State::kFree;
  used_.splice(used_.begin(), used_, place->used);
}

void BlockCache::Touch(Place* place) { used_.splice(used_.end(), used_, place->used); }

// REQUIRES: the place is free.
void BlockCache::Fill(Place* place, const Block& block, size_t holds, Lock* lock) {
  known_.emplace(block, place);
  place->block = block;
  place->state = State::kLoading;
  place->holds = holds;
  place->is_ahead = holds == 0;
  if (place->is_ahead) ++ahead_;
  place->error = Status();
  place->used_up = 0;
  Touch(place);
  lock->unlock();
  Status status = load_(block, place->memory.first(static_cast<size_t>(block.end - block.begin)));
  lock->lock();
  place->state = State::kLoaded;
  place->error = std::move(status);
  if (!place->error.ok()) {
    // Those who wait share the error; who asks from now on loads it anew.
    known_.erase(block);
    place->state = State::kFree;
    if (std::exchange(place->is_ahead, false)) --ahead_;
    used_.splice(used_.begin(), used_, place->used);
  }
  changed_.notify_all();
}

// Waits for the load, which somebody else or this thread has begun. REQUIRES: a hold, which becomes
// that of the result.
Result<BlockCache::Hold> BlockCache::Await(Place* place, Lock* lock) {
  changed_.wait(*lock, [&] { return place->state != State::kLoading; });
  if (place->error.ok()) {
    Touch(place);
    if (std::exchange(place->is_ahead, false)) --ahead_;
    return Hold(this, place);
  }
  Status error = place->error;
  Drop(place);
  return error;
}

Result<BlockCache::Hold> BlockCache::Get(const Block& block) {
  Lock lock(mutex_);
  while (true) {
    const auto found = known_.find(block);
    if (found != known_.end()) {
      ++found->second->holds;
      return Await(found->second, &lock);
    }
    if (Place* const place = FindRoom()) {
      Fill(place, block, 1, &lock);
      return Await(place, &lock);
    }
    ++waiting_;
    changed_.wait(lock);
    --waiting_;
  }
}

bool BlockCache::Prefetch(const Block& block) {
  const Lock lock(mutex_);
  if (known_.contains(block)) return true;
  if (std::find(queue_.begin(), queue_.end(), block) != queue_.end()) return true;
  if (ahead_ + queue_.size() >= options_.places / 2) return false;
  queue_.push_back(block);
  threads_.Ask(std::min(queue_.size(), options_.threads));
  return true;
}

bool BlockCache::LoadAhead(const base::PoolTurn& turn) {
  Lock lock(mutex_);
  while (!queue_.empty()) {
    const Block block = queue_.front();
    queue_.pop_front();
    if (known_.contains(block)) continue;
    Place* const place = FindRoom();
    if (place == nullptr) continue;  // Who needs it will wait for room.
    Fill(place, block, 0, &lock);
    if (turn.IsOver()) return true;
  }
  return false;
}

void BlockCache::LetGo(Place* place) {
  const Lock lock(mutex_);
  Drop(place);
}

void BlockCache::Drop(Place* place) {
  if (--place->holds > 0) return;
  if (place->used_up >= place->block.end - place->block.begin) {
    used_.splice(used_.begin(), used_, place->used);
  }
  if (waiting_ > 0) changed_.notify_all();
}

}  // namespace qstore::mount
