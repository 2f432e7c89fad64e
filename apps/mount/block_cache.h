// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "qstore/page_memory.h"
#include "qstore/status.h"

namespace qstore::mount {

/// A stretch of a file.
struct Block {
  size_t file = 0;
  uint64_t begin = 0;
  uint64_t end = 0;

  bool operator==(const Block&) const = default;
};

/// Contents of blocks, in a fixed number of places of one size. A block is loaded once by whoever
/// asks first, and others who ask wait for it. Those unused for longest give up their places.
/// Thread-safe.
class BlockCache {
  struct Place;

 public:
  /// Fills `out` with a block. Called by many threads at once; throws nothing.
  using Load = std::function<Status(const Block& block, std::span<std::byte> out)>;
  struct Options {
    size_t places = 4;       ///< 2 or more.
    size_t place_bytes = 0;  ///< No block is larger.
    size_t threads = 1;      ///< That load what is asked for ahead.
    base::PoolTask::Kind kind = base::PoolTask::Kind::kComputes;
  };

  /// Keeps a block where it is.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)), place_(other.place_) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(cache_, other.cache_);
      std::swap(place_, other.place_);
      return *this;
    }
    ~Hold() {
      if (cache_ != nullptr) cache_->LetGo(place_);
    }
    std::span<const std::byte> bytes() const;
    /// Says that so many bytes of it are used. When as many are as it has, in any number of calls,
    /// it is the first to give up its place, as whoever reads a file needs each byte once.
    void Use(size_t bytes) const;

   private:
    friend class BlockCache;
    Hold(BlockCache* cache, Place* place) : cache_(cache), place_(place) {}
    BlockCache* cache_ = nullptr;
    Place* place_ = nullptr;
  };

  /// Errors: kLimit, when there is no memory for the places.
  static Result<std::unique_ptr<BlockCache>> Make(const Options& options, Load load);
  /// REQUIRES: no call is running, nothing is held.
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  /// The block, when it is loaded. REQUIRES: the caller holds no other one, since it may wait until
  /// others let go of theirs. Errors: those of the load, which are not remembered.
  Result<Hold> Get(const Block& block);
  /// Has another thread load the block. Does nothing when so many are asked for ahead that nobody
  /// has taken yet that they would push one another out. Returns whether it is or will be there.
  bool Prefetch(const Block& block);

 private:
  enum class State : uint8_t { kFree, kLoading, kLoaded };
  struct Place {
    Block block;
    std::span<std::byte> memory;
    State state = State::kFree;
    bool is_ahead = false;  // Nobody has asked for it but Prefetch.
    size_t holds = 0;       // And those who wait for it.
    uint64_t used_up = 0;   // Bytes that those who had it were done with.
    Status error;           // Of the load, for these.
    std::list<Place*>::iterator used;
  };
  struct BlockHash {
    size_t operator()(const Block& block) const {
      return std::hash<uint64_t>()(block.begin * 0x9e3779b97f4a7c15 + block.file);
    }
  };
  using Lock = std::unique_lock<std::mutex>;

  BlockCache(const Options& options, Load load, PageMemory memory);
  bool LoadAhead(const base::PoolTurn& turn);
  Place* FindRoom();
  void Fill(Place* place, const Block& block, size_t holds, Lock* lock);
  Result<Hold> Await(Place* place, Lock* lock);
  void Touch(Place* place);
  void LetGo(Place* place);
  void Drop(Place* place);
  void Leave(Place* place);

  const Options options_;
  const Load load_;
  PageMemory memory_;
  std::vector<Place> places_;
  std::mutex mutex_;
  std::condition_variable changed_;  // A load has ended, or somebody has let go.
  std::unordered_map<Block, Place*, BlockHash> known_;
  // All, what was asked for last at the end. In front is what is used up, the last one first: its
  // memory is still in the processor's cache. Then come free ones.
  std::list<Place*> used_;
  std::deque<Block> queue_;  // Asked for ahead; no thread has come to them.
  size_t ahead_ = 0;         // Those in places.
  size_t waiting_ = 0;       // Threads that find no room.
  base::PoolTask threads_;
};

}  // namespace qstore::mount
