// SPDX-License-Identifier: Apache-2.0
#include "qstore/read_queue.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/archive_file.h"
#include "store/running_read.h"

namespace qstore {
namespace {

/// A read in the queue. Not thread-safe, but for what `read` does.
struct QueuedRead {
  explicit QueuedRead(std::unique_ptr<store::RunningRead> made)
      : read(std::move(made)), end_unit(read->unit_count()) {}

  bool HasLeft() const { return next_unit < end_unit; }
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
    if (batch_ == nullptr) return;
    static_cast<void>(base::Guarded([this] {
      archive_.GiveBack(std::move(batch_));
      return Status();
    }));
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
      : archive_(archive), threads_(base::ThreadCount(threads)) {}

  ~Impl() {
    Cancel();
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    has_work_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  Result<uint64_t> Begin(const ReadRequest& request) {
    QSTORE_ASSIGN(auto wanted, store::TargetsOf(archive_, {&request, 1}));
    QSTORE_ASSIGN(auto made,
                  store::RunningRead::Make(archive_.impl(), std::move(wanted), threads_));
    auto read = std::make_unique<QueuedRead>(std::move(made));
    const std::lock_guard lock(mutex_);
    StartWorkers();
    reads_.emplace(next_number_, std::move(read));
    has_work_.notify_all();
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
    return Cancelled();
  }

  void Cancel() {
    std::unique_lock lock(mutex_);
    Drop(0, next_number_, &lock);
  }

 private:
  void StartWorkers() {
    try {
      workers_.reserve(threads_);
      while (workers_.size() + 1 < threads_) workers_.emplace_back([this] { Work(); });
    } catch (const std::exception&) {
      // The system refuses more threads: those that there are, and who waits, do all the work.
    }
  }

  void Work() {
    Scratch scratch(archive_.impl());
    std::unique_lock lock(mutex_);
    while (!ending_) {
      if (!RunUnit(&lock, &scratch)) has_work_.wait(lock);
    }
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
      has_work_.notify_all();
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

  // Forgets the reads numbered [begin, end), once nothing of them runs.
  void Drop(uint64_t begin, uint64_t end, std::unique_lock<std::mutex>* lock) {
    const auto first = [&] { return reads_.lower_bound(begin); };
    const auto last = [&] { return reads_.lower_bound(end); };
    std::for_each(first(), last(), [](const auto& entry) {
      entry.second->Stop(std::min(entry.second->next_unit, entry.second->end_unit), Cancelled());
    });
    is_done_.wait(*lock, [&] {
      return std::all_of(first(), last(),
                         [](const auto& entry) { return entry.second->running == 0; });
    });
    std::vector<std::unique_ptr<QueuedRead>> dropped;
    std::for_each(first(), last(),
                  [&](auto& entry) { dropped.push_back(std::move(entry.second)); });
    reads_.erase(first(), last());
    is_done_.notify_all();
    // Memory, and what is read ahead of a slow source, is let go while others go on.
    lock->unlock();
    dropped.clear();
    lock->lock();
  }

  const Archive& archive_;
  std::mutex mutex_;
  std::condition_variable has_work_;
  std::condition_variable is_done_;
  const unsigned threads_;
  std::map<uint64_t, std::unique_ptr<QueuedRead>> reads_;  // By number, until they are finished.
  uint64_t next_number_ = 0;
  bool ending_ = false;
  std::vector<std::thread> workers_;
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
