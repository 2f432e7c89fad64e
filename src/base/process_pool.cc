// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <new>

#include "base/thread_pool.h"

namespace qstore::base {
namespace {

// Never destroyed: threads may be at work while the process exits.
alignas(ThreadPool) std::byte storage[sizeof(ThreadPool)];
std::atomic<ThreadPool*> pool = nullptr;

void Make() { pool = new (storage) ThreadPool(ThreadPool::Options()); }

}  // namespace

void ThreadPool::BeforeFork() {
  ThreadPool& its = *pool;
  Lock lock(its.mutex_);
  ++its.draining_;
  its.EndIdle(&lock);
  --its.draining_;
}

// For who asked for threads meanwhile.
void ThreadPool::AfterForkInParent() {
  ThreadPool& its = *pool;
  Lock lock(its.mutex_);
  its.CallSome(&lock);
}

// Whatever other threads had locked or begun, they are not there.
void ThreadPool::AfterForkInChild() {
  const uint64_t forks = pool.load()->forks_;
  Make();
  pool.load()->forks_ = forks + 1;
}

ThreadPool& ThreadPool::OfProcess() {
  struct Process {
    Process() {
      Make();
      if (pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild) != 0)
        pool.load()->Close();
    }
    ~Process() { pool.load()->Close(); }
  };
  static const Process process;
  return *pool;
}

namespace {

// Made when the library is loaded: a child of a process whose other thread makes it just then could
// never make its own.
[[maybe_unused]] const ThreadPool& made = ThreadPool::OfProcess();

}  // namespace
}  // namespace qstore::base
