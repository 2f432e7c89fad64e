// SPDX-License-Identifier: Apache-2.0
#include "qstore/read_queue.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "store/archive_file.h"
#include "store/running_read.h"

namespace qstore {
namespace {

/// A read in the queue. Not thread-safe, but for what `read` does.
struct QueuedRead {
  explicit QueuedRead(std::unique_ptr<store::RunningRead> made)
      : read(std::move(made)), end_unit(read->unit_count()) {}

  size_t left() const { return end_unit - std::min(end_unit, next_unit); }
  bool HasLeft() const { return left() > 0; }
  bool IsDone() const { return !HasLeft() && running == 0; }
  // The error of the lowest unit counts.
  void Stop(size_t unit, Status why) {
    if (!status.ok() && unit >= end_unit) return;
    end_unit = unit;
    status = std::move(why);
  }

  std::unique_ptr<store::RunningRead> read;  // Null once it is done.
  size_t next_unit = 0;
  size_t end_unit;  // The first one that failed, once there is one.
  size_t running = 0;
  Status status;
};

/// Scratch memory of a thread that reads, from its first unit on.
class Scratch {
 public:
  explicit Scratch(const store::ArchiveFile& archive) : archive_(archive) {}
  ~Scratch() {
    if (batch_ != nullptr) archive_.GiveBack(std::move(batch_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::unique_ptr<store::ChunkBatch>* batch() { return &batch_; }

 private:
  const store::ArchiveFile& archive_;
  std::unique_ptr<store::ChunkBatch> batch_;
};

}  // namespace

class ReadQueue::Impl {
 public:
  Impl(const Archive& archive, unsigned threads)
      : archive_(archive),
        threads_(base::ThreadCount(threads)),
        others_([this](const base::PoolTurn& turn) { return Help(turn); }) {}

  ~Impl() {
    Cancel();
    others_.Stop();
  }

  Result<uint64_t> Begin(const ReadRequest& request) {
    QSTORE_ASSIGN(auto wanted, store::TargetsOf(archive_, {&request, 1}));
    QSTORE_ASSIGN(auto made,
                  store::RunningRead::Make(archive_.impl(), std::move(wanted), threads_));
    auto read = std::make_unique<QueuedRead>(std::move(made));
    const std::lock_guard lock(mutex_);
    reads_.emplace(next_number_, std::move(read));
    AskForThreads();
    return next_number_++;
  }

  Status Finish(uint64_t number, const ProgressCallback& progress) {
    Scratch scratch(archive_.impl());
    std::unique_lock lock(mutex_);
    for (auto at = reads_.find(number); at != reads_.end(); at = reads_.find(number)) {
      if (at->second->IsDone()) {
        const auto read = std::move(at->second);
        reads_.erase(at);
        lock.unlock();
        return read->status;
      }
      if (!RunUnit(&lock, &scratch)) {
        is_done_.wait(lock);
      } else if (progress && !Tell(number, progress, &lock)) {
        Drop(number, number + 1, &lock);
      }
    }
    return cancelled_;
  }

  void Cancel() {
    std::unique_lock lock(mutex_);
    Drop(0, next_number_, &lock);
  }

 private:
  // For what is left and running, whoever asked before.
  void AskForThreads() {
    size_t units = 0;
    for (auto at = reads_.begin(); at != reads_.end() && units + 1 < threads_; ++at) {
      units += at->second->left() + at->second->running;
    }
    if (threads_ > 1 && units > 0) others_.Ask(std::min<size_t>(units, threads_ - 1));
  }

  // What a thread of the pool does until nothing is left or its turn is over. Returns whether it
  // was.
  bool Help(const base::PoolTurn& turn) {
    Scratch scratch(archive_.impl());
    std::unique_lock lock(mutex_);
    while (RunUnit(&lock, &scratch)) {
      if (turn.IsOver()) return true;
    }
    return false;
  }

  // Whether one more thread may run a unit of it beside what is running. What runs alone may
  // always: it has been given all the memory there is.
  bool HasRoom(const QueuedRead& next) const {
    if (next.running >= next.read->threads()) return false;
    uint64_t shared = next.read->shared_bytes();
    uint64_t thread = next.read->thread_bytes();
    bool is_alone = true;
    for (const auto& [number, other] : reads_) {
      if (other.get() == &next || other->running == 0) continue;
      is_alone = false;
      shared += other->read->shared_bytes();
      thread = std::max(thread, other->read->thread_bytes());
    }
    const uint64_t left = archive_.impl().MemoryLeft();
    return is_alone || (shared <= left && thread <= (left - shared) / threads_);
  }

  // Runs a unit of the first read that has any left. Returns false when there is none, or nothing
  // may be run of it yet.
  bool RunUnit(std::unique_lock<std::mutex>* lock, Scratch* scratch) {
    const auto found = std::find_if(reads_.begin(), reads_.end(),
                                    [](const auto& entry) { return entry.second->HasLeft(); });
    if (found == reads_.end() || !HasRoom(*found->second)) return false;
    QueuedRead* const read = found->second.get();  // Stays there while it runs.
    const size_t unit = read->next_unit++;
    ++read->running;
    lock->unlock();
    Status status = base::Guarded([&] { return read->read->RunUnit(unit, scratch->batch()); });
    lock->lock();
    --read->running;
    if (!status.ok()) read->Stop(unit, std::move(status));
    if (read->running == 0) {
      is_done_.notify_all();
      AskForThreads();  // What had no room beside it may begin.
    }
    if (read->IsDone()) LetGo(read, lock);
    return true;
  }

  // What is done needs no memory until it is asked for.
  static void LetGo(QueuedRead* read, std::unique_lock<std::mutex>* lock) {
    auto made = std::move(read->read);
    lock->unlock();
    made.reset();
    lock->lock();
  }

  // Whether to go on.
  bool Tell(uint64_t number, const ProgressCallback& progress,
            std::unique_lock<std::mutex>* lock) const {
    const auto found = reads_.find(number);
    if (found == reads_.end()) return true;
    const QueuedRead& read = *found->second;
    if (read.read == nullptr) return true;
    const Progress now{read.read->BytesOf(read.next_unit - read.running), read.read->byte_size()};
    lock->unlock();
    const bool goes_on = progress(now);
    lock->lock();
    return goes_on;
  }

  // Forgets the reads numbered [begin, end), once nothing of them runs. Needs no memory: the
  // destructor calls it.
  void Drop(uint64_t begin, uint64_t end, std::unique_lock<std::mutex>* lock) {
    const auto first = [&] { return reads_.lower_bound(begin); };
    const auto last = [&] { return reads_.lower_bound(end); };
    std::for_each(first(), last(), [this](const auto& entry) {
      entry.second->Stop(std::min(entry.second->next_unit, entry.second->end_unit), cancelled_);
    });
    is_done_.wait(*lock, [&] {
      return std::all_of(first(), last(),
                         [](const auto& entry) { return entry.second->running == 0; });
    });
    std::map<uint64_t, std::unique_ptr<QueuedRead>> dropped;
    while (first() != last()) dropped.insert(reads_.extract(first()));
    is_done_.notify_all();
    // Memory, and what is read ahead of a slow source, is let go while others go on.
    lock->unlock();
    dropped.clear();
    lock->lock();
  }

  const Archive& archive_;
  std::mutex mutex_;
  std::condition_variable is_done_;
  const unsigned threads_;
  const Status cancelled_ = Cancelled();                   // Made while there is memory for it.
  std::map<uint64_t, std::unique_ptr<QueuedRead>> reads_;  // By number, until they are finished.
  uint64_t next_number_ = 0;
  base::PoolTask others_;
};

ReadQueue::ReadQueue(const Archive& archive, unsigned threads)
    : impl_(std::make_unique<Impl>(archive, threads)) {}
ReadQueue::~ReadQueue() = default;

Result<uint64_t> ReadQueue::Begin(const ReadRequest& request) {
  return base::Guarded([&] { return impl_->Begin(request); });
}
Status ReadQueue::Finish(uint64_t number, const ProgressCallback& progress) {
  return base::Guarded([&] { return impl_->Finish(number, progress); });
}
void ReadQueue::Cancel() { impl_->Cancel(); }

}  // namespace qstore
