// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "base/thread_settings.h"

namespace qstore::base {

class PoolTask;

/// Threads that work beside those who ask for them. One is started when it is first needed, waits a
/// while for more to do, and ends. Nothing depends on there being one: who asks does its work too,
/// and a thread that the system refuses is done without. Thread-safe.
class ThreadPool {
 public:
  struct Options {
    std::chrono::milliseconds idle{2000};  ///< A thread with nothing to do ends after this.
    /// Most threads in tasks that compute. 0: twice as many as there are processors, or what the
    /// largest task asks for.
    size_t most = 0;
    int (*start)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = pthread_create;
  };

  explicit ThreadPool(const Options& options) : options_(options) {}
  /// REQUIRES: no task is left.
  ~ThreadPool() { Close(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The pool of all calls of the library. Before the process forks, threads without work end; the
  /// child has a pool of its own. It closes when the process exits or unloads the library.
  static ThreadPool& OfProcess();

  /// Returns when the threads without work have ended. No thread is started any more, and those at
  /// work end after it.
  void Close();

 private:
  friend class PoolTask;
  friend class PoolTurn;
  using Lock = std::unique_lock<std::mutex>;
  // A thread that waits for work.
  struct Idle {
    std::condition_variable changed;
    bool is_called = false;
    Idle* next = nullptr;
  };

  // Of the process's pool.
  static void BeforeFork();
  static void AfterForkInParent();
  static void AfterForkInChild();

  void EndIdle(Lock* lock);
  void CallSome(Lock* lock);
  void NoteCrowd();
  bool Call(Lock* lock);
  bool Start();
  size_t Limit() const;
  size_t OpenPlaces() const;
  PoolTask* Pick() const;

  static void* ThreadMain(void* pool);
  void Work();
  bool Run(PoolTask* task, ThreadSettings* settings, Lock* lock);
  bool AwaitCall(Lock* lock);
  void End(Lock* lock);

  const Options options_;
  uint64_t forks_ = 0;  // That led to this process.
  std::mutex mutex_;
  std::condition_variable settled_;  // More threads are in tasks, or fewer are there.
  PoolTask* tasks_ = nullptr;        // Those that threads may come to.
  Idle* idle_ = nullptr;             // A stack: threads that are not needed stay below, and end.
  size_t threads_ = 0;               // In tasks, idle, and called.
  size_t called_ = 0;                // Started or called, and not yet here.
  size_t in_tasks_ = 0;
  size_t computing_ = 0;               // In tasks that compute.
  size_t draining_ = 0;                // Who waits for all that are in no task to end.
  uint64_t turns_ = 0;                 // Threads that have left a task.
  bool is_closed_ = false;             // Nobody waits for threads that end.
  bool has_ended_ = false;             // One has ended that nobody has joined:
  pthread_t last_ended_{};             // this one, by the next that ends.
  std::atomic<bool> crowded_ = false;  // A task that computes lacks a thread, and none will come.
};

/// The stay of a thread of the pool in a task.
class PoolTurn {
 public:
  /// Whether to return soon, as a task with fewer threads lacks one. To be asked between steps.
  bool IsOver() const;

 private:
  friend class ThreadPool;
  explicit PoolTurn(const PoolTask& task) : task_(task) {}
  const PoolTask& task_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// What threads of a pool do beside the thread that asks for them, which may be one of the pool's.
/// Thread-safe. A child process may go on with a task that no thread was in when it was forked.
class PoolTask {
 public:
  enum class Kind {
    kComputes,  ///< Shares the processors with others of this kind.
    kWaits,     ///< Mostly waits for a source: has as many threads as it asks for.
  };
  /// Works until nothing is left to do, or its turn is over: then returns true, to be called again.
  /// Throws nothing.
  using Work = std::function<bool(const PoolTurn&)>;

  explicit PoolTask(Work work, Kind kind = Kind::kComputes,
                    ThreadPool* pool = &ThreadPool::OfProcess())
      : pool_(*pool), work_(std::move(work)), kind_(kind), forks_(pool->forks_) {}
  ~PoolTask() { Stop(); }
  PoolTask(const PoolTask&) = delete;
  PoolTask& operator=(const PoolTask&) = delete;

  /// There is work for `threads` threads: so many call `work` at once, at most and as they are
  /// free, with the settings of the calling thread. Those in it count, and come once more.
  void Ask(size_t threads);
  /// Returns when no thread is in `work`; none comes any more.
  void Stop();

 private:
  friend class ThreadPool;
  friend class PoolTurn;

  ThreadPool& pool_;
  const Work work_;
  const Kind kind_;
  uint64_t forks_;  // Of the pool that its threads are of.
  std::condition_variable left_;
  PoolTask* next_ = nullptr;
  bool is_listed_ = false;
  uint64_t asks_ = 0;
  size_t most_asked_ = 0;
  size_t wanted_ = 0;   // Threads that may come.
  size_t running_ = 0;  // Those in `work`.
  uint64_t turn_ = 0;   // When one last left.
  ThreadSettings settings_;
};

}  // namespace qstore::base
