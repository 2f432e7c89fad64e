// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "unit/base/own_threads.h"

namespace qstore::base {
namespace {

using std::chrono::milliseconds;

ThreadPool::Options Idle(milliseconds idle) {
  ThreadPool::Options options;
  options.idle = idle;
  return options;
}

ThreadPool::Options AtMost(size_t most) {
  ThreadPool::Options options;
  options.most = most;
  return options;
}

/// A task whose threads stay in it until their turn is over or they are let go.
class Busy {
 public:
  explicit Busy(ThreadPool* pool, PoolTask::Kind kind = PoolTask::Kind::kComputes)
      : task_([this](const PoolTurn& turn) { return Stay(turn); }, kind, pool) {}
  ~Busy() { LetGo(); }

  void Ask(size_t threads) { task_.Ask(threads); }
  void LetGo() {
    let_go_ = true;
    task_.Stop();
  }
  size_t inside() const { return inside_; }
  size_t most() const { return most_; }
  size_t visits() const { return visits_; }

 private:
  bool Stay(const PoolTurn& turn) {
    const size_t now = ++inside_;
    ++visits_;
    for (size_t most = most_; most < now && !most_.compare_exchange_weak(most, now);) {
    }
    bool is_over = false;
    while (!is_over && !let_go_) {
      std::this_thread::sleep_for(milliseconds(1));
      is_over = turn.IsOver();
    }
    --inside_;
    return is_over;
  }

  std::atomic<bool> let_go_{false};
  std::atomic<size_t> inside_{0};
  std::atomic<size_t> most_{0};
  std::atomic<size_t> visits_{0};
  PoolTask task_;
};

class Pool : public ::testing::Test {
 protected:
  // Those of tests before have ended.
  void SetUp() override {
    ASSERT_TRUE(Comes([] { return OwnThreads() == 0; }));
  }
};

TEST_F(Pool, AsManyThreadsAsAreAskedFor) {
  ThreadPool pool({});
  Busy busy(&pool);
  busy.Ask(3);
  EXPECT_TRUE(Comes([&] { return busy.inside() == 3; }));
  busy.Ask(2);
  busy.Ask(5);
  EXPECT_TRUE(Comes([&] { return busy.inside() == 5; }));
  busy.LetGo();
  EXPECT_EQ(busy.inside(), 0u);
  EXPECT_EQ(busy.most(), 5u);
  EXPECT_EQ(OwnThreads(), 5u);
}

TEST_F(Pool, ThreadsServeTaskAfterTask) {
  ThreadPool pool({});
  std::mutex mutex;
  std::set<pid_t> threads;
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> came{false};
    PoolTask task(
        [&](const PoolTurn&) {
          const std::lock_guard lock(mutex);
          threads.insert(::gettid());
          came = true;
          return false;
        },
        PoolTask::Kind::kComputes, &pool);
    task.Ask(1);
    ASSERT_TRUE(Comes([&] { return came.load(); }));
  }
  EXPECT_EQ(threads.size(), 1u);
}

TEST_F(Pool, ThreadsWithNothingToDoEnd) {
  ThreadPool pool(Idle(milliseconds(50)));
  for (int round = 0; round < 3; ++round) {
    Busy busy(&pool);
    busy.Ask(4);
    EXPECT_TRUE(Comes([&] { return busy.inside() == 4; }));
    busy.LetGo();
    EXPECT_TRUE(Comes([] { return OwnThreads() == 0; }));
  }
}

// One is called again and again, and the others end beside it.
TEST_F(Pool, ThreadsThatAreNotNeededEnd) {
  ThreadPool pool(Idle(milliseconds(50)));
  {
    Busy busy(&pool);
    busy.Ask(4);
    EXPECT_TRUE(Comes([&] { return busy.inside() == 4; }));
  }
  const bool one_is_left = Comes([&] {
    Busy busy(&pool);
    busy.Ask(1);
    EXPECT_TRUE(Comes([&] { return busy.inside() == 1; }));
    return OwnThreads() == 1;
  });
  EXPECT_TRUE(one_is_left);
}

TEST_F(Pool, EndsWithAllItsThreads) {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool({});
    PoolTask task([](const PoolTurn&) { return false; }, PoolTask::Kind::kComputes, &pool);
    task.Ask(1 + round % 3);
    task.Stop();
  }
  EXPECT_TRUE(Comes([] { return OwnThreads() == 0; }));
}

TEST_F(Pool, RefusedThreadsAreDoneWithout) {
  ThreadPool::Options options;
  static std::atomic<int> starts;
  starts = 0;
  options.start = [](pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*),
                     void* argument) {
    return ++starts == 1 ? pthread_create(thread, attributes, main, argument) : EAGAIN;
  };
  ThreadPool pool(options);
  Busy first(&pool);
  Busy second(&pool);
  first.Ask(3);
  EXPECT_TRUE(Comes([&] { return first.inside() == 1; }));
  second.Ask(2);
  EXPECT_TRUE(Comes([&] { return second.visits() > 0; })) << "the only thread takes turns";
  first.LetGo();
  second.LetGo();
  EXPECT_GE(starts, 2);
  EXPECT_EQ(OwnThreads(), 1u);
}

TEST_F(Pool, AClosedPoolStartsNone) {
  ThreadPool pool({});
  Busy busy(&pool);
  busy.Ask(2);
  EXPECT_TRUE(Comes([&] { return busy.inside() == 2; }));
  pool.Close();  // Waits for no thread that is in a task.
  EXPECT_EQ(busy.inside(), 2u);
  busy.LetGo();
  EXPECT_TRUE(Comes([] { return OwnThreads() == 0; }));
  Busy later(&pool);
  later.Ask(2);
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(later.visits(), 0u);
}

TEST_F(Pool, WhoComesLaterGetsAnEqualPart) {
  ThreadPool pool(AtMost(4));
  Busy first(&pool);
  first.Ask(4);
  EXPECT_TRUE(Comes([&] { return first.inside() == 4; }));
  Busy second(&pool);
  second.Ask(4);
  EXPECT_TRUE(Comes([&] { return second.inside() == 2 && first.inside() == 2; }));
  first.LetGo();
  EXPECT_TRUE(Comes([&] { return second.inside() == 4; }));
  EXPECT_EQ(OwnThreads(), 4u);
}

TEST_F(Pool, MoreTasksThanThreadsTakeTurns) {
  ThreadPool pool(AtMost(2));
  Busy tasks[] = {Busy(&pool), Busy(&pool), Busy(&pool), Busy(&pool), Busy(&pool)};
  for (Busy& task : tasks) task.Ask(2);
  const bool all_have_turns = Comes([&] {
    return std::all_of(std::begin(tasks), std::end(tasks),
                       [](const Busy& task) { return task.visits() >= 5; });
  });
  EXPECT_TRUE(all_have_turns);
  EXPECT_EQ(OwnThreads(), 2u);
}

TEST_F(Pool, ThreadsThatWaitForASourceAreNotCounted) {
  ThreadPool pool(AtMost(1));
  Busy computes(&pool);
  computes.Ask(3);
  EXPECT_TRUE(Comes([&] { return computes.inside() == 1; }));
  Busy waits(&pool, PoolTask::Kind::kWaits);
  waits.Ask(3);
  EXPECT_TRUE(Comes([&] { return waits.inside() == 3; }));
  waits.LetGo();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(computes.most(), 1u) << "those that come free have no room there";
}

// An ask while a thread is on its way out is not lost.
TEST_F(Pool, WhoIsInsideComesOnceMoreWhenAsked) {
  ThreadPool pool({});
  for (int round = 0; round < 2000; ++round) {
    std::atomic<int> left{0};
    PoolTask task(
        [&](const PoolTurn&) {
          while (left > 0) --left;
          return false;
        },
        PoolTask::Kind::kComputes, &pool);
    for (int i = 0; i < 3; ++i) {
      left = 1;
      task.Ask(1);
      ASSERT_TRUE(Comes([&] { return left == 0; }));
    }
  }
}

TEST_F(Pool, TasksOfTasks) {
  ThreadPool pool(AtMost(2));
  std::atomic<int> leaves{0};
  // Whoever runs it works alone when nobody comes.
  const std::function<void(int)> run = [&](int depth) {
    if (depth == 0) {
      ++leaves;
      return;
    }
    std::atomic<int> left{3};
    const auto work = [&] {
      while (left-- > 0) run(depth - 1);
    };
    PoolTask task(
        [&](const PoolTurn&) {
          work();
          return false;
        },
        PoolTask::Kind::kComputes, &pool);
    task.Ask(3);
    work();
  };
  for (int round = 0; round < 20; ++round) run(4);
  EXPECT_EQ(leaves, 20 * 81);
}

}  // namespace
}  // namespace qstore::base
