// SPDX-License-Identifier: Apache-2.0
#include "base/pipeline.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace qstore::base {
namespace {

// Made while there is memory for them, and never destroyed: threads may outlive statics.
const Status& kOutOfMemory = *new Status(LimitExceeded("out of memory"));
const Status& kUnknown = *new Status(InternalError("unexpected exception"));

class OrderedRun {
 public:
  OrderedRun(const PipelineBegin& begin, const PipelineOptions& options, const PipelineStep& work,
             const PipelineStep& retire)
      : tokens_(options.tokens), begin_(begin), work_(work), retire_(retire), done_(tokens_, 0) {
    try {
      for (unsigned worker = 1; worker < options.threads; ++worker) free_workers_.push_back(worker);
    } catch (const std::bad_alloc&) {
      // Fewer will help.
    }
  }

  // How many threads may help at once. REQUIRES: none does.
  size_t helpers() const { return free_workers_.size(); }

  // What the calling thread does: all that others do not.
  void Work() {
    std::unique_lock lock(mutex_);
    while (Step(0, &lock)) {
    }
  }

  // What other threads do until their turn is over. Returns whether it was.
  bool Help(const PoolTurn& turn) {
    std::unique_lock lock(mutex_);
    const unsigned worker = free_workers_.back();
    free_workers_.pop_back();
    bool is_over = false;
    while (!is_over && Step(worker, &lock)) is_over = turn.IsOver();
    free_workers_.push_back(worker);
    return is_over;
  }

  Status TakeError() { return std::move(error_); }

 private:
  // Returns false when there is no further item.
  bool Step(unsigned worker, std::unique_lock<std::mutex>* lock) {
    token_free_.wait(
        *lock, [this] { return next_start_ >= end_ || next_start_ - next_retire_ < tokens_; });
    if (next_start_ >= end_) return false;
    const PipelineItem item = Item(next_start_, worker);
    Result<bool> there = Guarded([&] { return begin_(item); });
    if (!there.ok() || !*there) {
      Fail(item.index, there.status());
      return false;
    }
    ++next_start_;
    lock->unlock();
    Status status = Guarded([&] { return work_(item); });
    lock->lock();
    if (status.ok()) {
      done_[item.slot] = 1;
    } else {
      Fail(item.index, std::move(status));
    }
    RetireReady(lock, worker);
    return true;
  }

  PipelineItem Item(uint64_t index, unsigned worker) const {
    return {index, worker, static_cast<size_t>(index % tokens_)};
  }

  // Moves the end of the run down to the failed item, so that earlier items go on and later ones
  // do not begin. Items begin in order, hence a lower error still replaces this one.
  void Fail(uint64_t index, Status status) {
    if (index < end_) {
      end_ = index;
      error_ = std::move(status);
    }
    token_free_.notify_all();
  }

  void RetireReady(std::unique_lock<std::mutex>* lock, unsigned worker) {
    if (retiring_) return;  // That thread looks again before it stops.
    retiring_ = true;
    while (next_retire_ < end_ && done_[next_retire_ % tokens_] != 0) {
      const PipelineItem item = Item(next_retire_, worker);
      Status status;
      if (retire_) {
        lock->unlock();
        status = Guarded([&] { return retire_(item); });
        lock->lock();
      }
      done_[item.slot] = 0;
      if (!status.ok()) {
        Fail(item.index, std::move(status));
        break;
      }
      ++next_retire_;
      token_free_.notify_all();
    }
    retiring_ = false;
  }

  std::mutex mutex_;
  std::condition_variable token_free_;
  uint64_t next_start_ = 0;
  uint64_t next_retire_ = 0;
  uint64_t end_ = UINT64_MAX;  // The first item that failed or is not there, once it is known.
  bool retiring_ = false;
  Status error_;
  const size_t tokens_;
  const PipelineBegin& begin_;
  const PipelineStep& work_;
  const PipelineStep& retire_;
  std::vector<uint8_t> done_;           // By slot.
  std::vector<unsigned> free_workers_;  // Numbers of threads that may come.
};

}  // namespace

Status RunPipeline(const PipelineBegin& begin, const PipelineOptions& options,
                   const PipelineStep& work, const PipelineStep& retire) {
  PipelineOptions fitting = options;
  fitting.tokens = std::max<size_t>(options.tokens, 1);
  fitting.threads = static_cast<unsigned>(std::min<uint64_t>(options.threads, fitting.tokens));
  OrderedRun run(begin, fitting, work, retire);
  if (run.helpers() == 0) {
    run.Work();
  } else {
    PoolTask others([&run](const PoolTurn& turn) { return run.Help(turn); });
    others.Ask(run.helpers());
    run.Work();
  }
  return run.TakeError();
}

Status RunPipeline(uint64_t count, const PipelineOptions& options, const PipelineStep& work,
                   const PipelineStep& retire) {
  PipelineOptions fitting = options;
  fitting.tokens =
      static_cast<size_t>(std::clamp<uint64_t>(options.tokens, 1, std::max<uint64_t>(count, 1)));
  const PipelineBegin begin = [count](const PipelineItem& item) -> Result<bool> {
    return item.index < count;
  };
  return RunPipeline(begin, fitting, work, retire);
}

Status CurrentExceptionAsStatus() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return kOutOfMemory;
  } catch (const std::exception& error) {
    try {
      return InternalError(std::string("unexpected exception: ") + error.what());
    } catch (const std::bad_alloc&) {
      return kOutOfMemory;
    }
  } catch (...) {
    return kUnknown;
  }
}

unsigned ThreadCount(unsigned requested) {
  if (requested != 0) return requested;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace qstore::base
