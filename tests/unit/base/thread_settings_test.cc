// SPDX-License-Identifier: Apache-2.0
#include "base/thread_settings.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/thread_pool.h"
#include "unit/base/own_threads.h"

namespace qstore::base {
namespace {

TEST(ThreadSettings, WorksOnTheProcessorsOfWhoAsks) {
  ASSERT_TRUE(Comes([] { return OwnThreads() == 0; })) << "those of tests before";
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  ThreadPool pool({});
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    cpu_set_t mine;
    CPU_ZERO(&mine);
    CPU_SET(cpu, &mine);
    for (const cpu_set_t* wanted : {&mine, &all}) {
      ASSERT_EQ(sched_setaffinity(0, sizeof(*wanted), wanted), 0);
      std::atomic<int> equal{-1};
      PoolTask task(
          [&](const PoolTurn&) {
            cpu_set_t its;
            equal = sched_getaffinity(0, sizeof(its), &its) == 0 && CPU_EQUAL(&its, wanted) ? 1 : 0;
            return false;
          },
          PoolTask::Kind::kComputes, &pool);
      task.Ask(1);
      EXPECT_TRUE(Comes([&] { return equal == 1; }));
    }
  }
  EXPECT_EQ(OwnThreads(), 1u) << "one and the same did it all";
}

// A program that waits for signals blocks them in all threads that it knows.
TEST(ThreadSettings, ThreadsWithoutWorkTakeNoSignal) {
  ASSERT_TRUE(Comes([] { return OwnThreads() == 0; })) << "those of tests before";
  ThreadPool pool({});
  std::atomic<int> blocked{-1};
  PoolTask task(
      [&](const PoolTurn&) {
        sigset_t its;
        pthread_sigmask(SIG_SETMASK, nullptr, &its);
        blocked = sigismember(&its, SIGUSR2) != 0 ? 1 : 0;
        return false;
      },
      PoolTask::Kind::kComputes, &pool);
  sigset_t usr2;
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  for (const int expected : {0, 1}) {
    ASSERT_EQ(pthread_sigmask(expected == 1 ? SIG_BLOCK : SIG_UNBLOCK, &usr2, nullptr), 0);
    blocked = -1;
    task.Ask(1);
    EXPECT_TRUE(Comes([&] { return blocked != -1; }));
    EXPECT_EQ(blocked, expected) << "at work, a thread has the signals of who asks";
  }
  task.Stop();
  ASSERT_EQ(OwnThreads(), 1u);
  ASSERT_EQ(::kill(::getpid(), SIGUSR2), 0);
  const timespec wait = {10, 0};
  EXPECT_EQ(::sigtimedwait(&usr2, nullptr, &wait), SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_UNBLOCK, &usr2, nullptr), 0);
}

}  // namespace
}  // namespace qstore::base
