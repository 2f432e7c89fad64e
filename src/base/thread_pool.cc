// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <algorithm>
#include <tuple>

namespace qstore::base {
namespace {

// Who wants many threads calls so few: each of these calls as many.
constexpr size_t kCallsEach = 2;
// After this, a thread leaves a task for one that has fewer threads, if only by one.
constexpr std::chrono::milliseconds kTurn{5};

}  // namespace

void ThreadPool::Close() {
  Lock lock(mutex_);
  ++draining_;
  EndIdle(&lock);
  is_closed_ = true;
}

// Threads end one after the other, each joining the one before. REQUIRES: draining_.
void ThreadPool::EndIdle(Lock* lock) {
  for (Idle* idle = idle_; idle != nullptr; idle = idle->next) idle->changed.notify_one();
  settled_.wait(*lock, [this] { return threads_ == in_tasks_; });
  while (std::exchange(has_ended_, false)) {
    const pthread_t last = last_ended_;
    lock->unlock();
    pthread_join(last, nullptr);
    lock->lock();
  }
}

size_t ThreadPool::Limit() const {
  if (options_.most != 0) return options_.most;
  size_t limit = 0;
  for (const PoolTask* task = tasks_; task != nullptr; task = task->next_) {
    limit = std::max({limit, task->most_asked_, 2 * task->settings_.processors()});
  }
  return limit;
}

// Where threads may come to now.
size_t ThreadPool::OpenPlaces() const {
  size_t waiting = 0;
  size_t computing = 0;
  for (const PoolTask* task = tasks_; task != nullptr; task = task->next_) {
    (task->kind_ == PoolTask::Kind::kWaits ? waiting : computing) += task->wanted_;
  }
  if (computing == 0) return waiting;
  const size_t limit = Limit();
  return waiting + std::min(computing, limit - std::min(limit, computing_));
}

// Has threads come, as far as there are places.
void ThreadPool::CallSome(Lock* lock) {
  for (size_t i = 0; i < kCallsEach && called_ < OpenPlaces() && Call(lock); ++i) {
  }
  NoteCrowd();
}

void ThreadPool::NoteCrowd() {
  bool lacks = false;
  for (const PoolTask* task = tasks_; task != nullptr; task = task->next_) {
    lacks |= task->kind_ == PoolTask::Kind::kComputes && task->wanted_ > 0;
  }
  crowded_.store(lacks && called_ == 0, std::memory_order_relaxed);
}

bool ThreadPool::Call(Lock* lock) {
  if (draining_ > 0) return false;
  ++called_;
  if (idle_ != nullptr) {
    Idle* const idle = std::exchange(idle_, idle_->next);
    idle->is_called = true;
    idle->changed.notify_one();
    return true;
  }
  ++threads_;
  lock->unlock();
  const bool is_started = Start();
  lock->lock();
  if (is_started) return true;
  --threads_;
  --called_;
  settled_.notify_all();
  return false;
}

bool ThreadPool::Start() {
  const ThreadSettings mine = ThreadSettings::Here();
  const ThreadSettings its = mine.WithoutSignals();
  its.Apply(mine);
  pthread_t thread;
  const bool is_started = options_.start(&thread, nullptr, ThreadMain, this) == 0;
  mine.Apply(its);
  return is_started;
}

void* ThreadPool::ThreadMain(void* pool) {
  pthread_setname_np(pthread_self(), "qstore");
  static_cast<ThreadPool*>(pool)->Work();
  return nullptr;
}

void ThreadPool::Work() {
  ThreadSettings settings = ThreadSettings::Here();
  Lock lock(mutex_);
  do {
    --called_;
    while (PoolTask* const task = Pick()) {
      if (!Run(task, &settings, &lock)) return;
    }
    NoteCrowd();
  } while (AwaitCall(&lock));
  End(&lock);
}

// Of the tasks that lack threads the one that has fewest, and of these the one whose last thread
// left first. Those that wait for a source come before: theirs is little work.
PoolTask* ThreadPool::Pick() const {
  const bool has_room = computing_ < Limit();
  PoolTask* best = nullptr;
  const auto rank = [](const PoolTask* task) {
    return std::make_tuple(task->kind_ != PoolTask::Kind::kWaits, task->running_, task->turn_);
  };
  for (PoolTask* task = tasks_; task != nullptr; task = task->next_) {
    if (task->wanted_ == 0 || (task->kind_ == PoolTask::Kind::kComputes && !has_room)) continue;
    if (best == nullptr || rank(task) < rank(best)) best = task;
  }
  return best;
}

// Returns false in a child process that was forked there: no task of the parent's is left in it.
bool ThreadPool::Run(PoolTask* task, ThreadSettings* settings, Lock* lock) {
  const size_t computes = task->kind_ == PoolTask::Kind::kComputes ? 1 : 0;
  --task->wanted_;
  ++task->running_;
  ++in_tasks_;
  computing_ += computes;
  if (draining_ > 0) settled_.notify_all();
  CallSome(lock);
  const uint64_t forks = forks_;
  const uint64_t asks = task->asks_;
  const ThreadSettings its = task->settings_;
  lock->unlock();
  its.Apply(*settings);
  const bool again = task->work_(PoolTurn(*task));
  *settings = its.WithoutSignals();
  settings->Apply(its);
  lock->lock();
  if (forks != forks_) return false;
  computing_ -= computes;
  --in_tasks_;
  --task->running_;
  task->turn_ = ++turns_;
  if (task->is_listed_ && (again || task->asks_ != asks)) ++task->wanted_;
  if (task->running_ == 0) task->left_.notify_all();
  return true;
}

// Returns false when none came for a while, or the thread is to end.
bool ThreadPool::AwaitCall(Lock* lock) {
  Idle self;
  self.next = std::exchange(idle_, &self);
  const auto end = std::chrono::steady_clock::now() + options_.idle;
  self.changed.wait_until(*lock, end, [&] { return self.is_called || draining_ > 0; });
  if (self.is_called) return true;
  Idle** at = &idle_;
  while (*at != &self) at = &(*at)->next;
  *at = self.next;
  return false;
}

void ThreadPool::End(Lock* lock) {
  const bool has_before = std::exchange(has_ended_, !is_closed_);
  const pthread_t before = std::exchange(last_ended_, pthread_self());
  if (is_closed_) pthread_detach(pthread_self());
  --threads_;
  settled_.notify_all();
  lock->unlock();
  if (has_before) pthread_join(before, nullptr);
}

bool PoolTurn::IsOver() const {
  ThreadPool& pool = task_.pool_;
  if (!pool.crowded_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(pool.mutex_);
  const bool is_long = std::chrono::steady_clock::now() - begin_ >= kTurn;
  for (const PoolTask* task = pool.tasks_; task != nullptr; task = task->next_) {
    if (task->kind_ != PoolTask::Kind::kComputes || task->wanted_ == 0) continue;
    if (task->running_ + (is_long ? 0 : 1) < task_.running_) return true;
  }
  return false;
}

void PoolTask::Ask(size_t threads) {
  const ThreadSettings here = ThreadSettings::Here();
  ThreadPool::Lock lock(pool_.mutex_);
  if (std::exchange(forks_, pool_.forks_) != pool_.forks_) {
    is_listed_ = false;
    wanted_ = 0;
    running_ = 0;
  }
  if (!std::exchange(is_listed_, true)) next_ = std::exchange(pool_.tasks_, this);
  ++asks_;
  settings_ = here;
  most_asked_ = std::max(most_asked_, threads);
  wanted_ = std::max(wanted_, threads - std::min(threads, running_));
  pool_.CallSome(&lock);
}

void PoolTask::Stop() {
  ThreadPool::Lock lock(pool_.mutex_);
  if (forks_ != pool_.forks_) return;
  if (is_listed_) {
    PoolTask** at = &pool_.tasks_;
    while (*at != this) at = &(*at)->next_;
    *at = next_;
    is_listed_ = false;
  }
  wanted_ = 0;
  pool_.NoteCrowd();
  left_.wait(lock, [this] { return running_ == 0; });
}

}  // namespace qstore::base
