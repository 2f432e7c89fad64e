// SPDX-License-Identifier: Apache-2.0
// The pool of the process: what becomes of it when the process forks, exits or unloads the library.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/pipeline.h"
#include "base/thread_pool.h"
#include "unit/base/own_threads.h"

// A child of a process with threads starts some: where nothing else is said, that ends it.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {  // NOLINT
  return "die_after_fork=0";
}

// There where leaks are looked for.
extern "C" __attribute__((weak)) void __lsan_disable();  // NOLINT
extern "C" __attribute__((weak)) void __lsan_enable();   // NOLINT

namespace qstore::base {
namespace {

constexpr unsigned kThreads = 4;
constexpr unsigned kSeconds = 60;  // After which what hangs is ended.

// Whether all items are worked and retired.
bool RunsAll(uint64_t items) {
  std::atomic<uint64_t> worked{0};
  uint64_t retired = 0;
  const Status status = RunPipeline(
      items, {kThreads, 2 * kThreads},
      [&](const PipelineItem&) {
        ++worked;
        return Status();
      },
      [&](const PipelineItem& item) { return retired++ == item.index ? Status() : IoError(""); });
  return status.ok() && worked == items && retired == items;
}

// The same by several threads: each item waits for one of another thread.
bool RunsTogether() {
  std::atomic<unsigned> begun{0};
  const Status status = RunPipeline(
      kThreads, {kThreads, kThreads},
      [&](const PipelineItem&) {
        ++begun;
        while (begun < kThreads) std::this_thread::yield();
        return Status();
      },
      nullptr);
  return status.ok();
}

// What `run` returns in a child of this process.
pid_t Fork(const std::function<bool()>& run) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::alarm(kSeconds);
  ::_exit(run() ? 0 : 1);
}

bool Succeeds(pid_t child) {
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

/// Threads that call again and again.
class Callers {
 public:
  explicit Callers(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!end_) wrong_ += RunsAll(50) ? 0 : 1;
      });
    }
  }
  ~Callers() {
    end_ = true;
    for (std::thread& thread : threads_) thread.join();
    EXPECT_EQ(wrong_, 0u);
  }

 private:
  std::atomic<bool> end_{false};
  std::atomic<unsigned> wrong_{0};
  std::vector<std::thread> threads_;
};

TEST(ProcessPool, ManyCallers) {
  const Callers callers(12);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(RunsAll(20));
  const size_t processors = ThreadCount(0);
  EXPECT_LE(OwnThreads(), std::max<size_t>(2 * processors, kThreads - 1));
}

TEST(ProcessPool, NoThreadIsThereWhenTheProcessForks) {
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(RunsTogether());
    ASSERT_GE(OwnThreads(), kThreads - 1);
    const pid_t child = Fork([] { return RunsTogether() && OwnThreads() > 0; });
    // Sooner than those that wait for work end by themselves. The system counts one a little longer
    // than it is there.
    EXPECT_TRUE(Comes([] { return OwnThreads() == 0; }, std::chrono::seconds(1)));
    ASSERT_TRUE(RunsTogether());
    EXPECT_TRUE(Succeeds(child));
  }
}

// AddressSanitizer of g++ 12 and 13 has locks of its own, which a child finds locked for ever when
// another thread was allocating as it was forked.
#ifndef __SANITIZE_ADDRESS__
TEST(ProcessPool, ForksWhileThreadsWork) {
  const Callers callers(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < 2; ++i) {
      children.push_back(Fork([] {
        const pid_t grandchild = Fork([] { return RunsAll(50); });
        return RunsTogether() && RunsAll(50) && Succeeds(grandchild);
      }));
    }
    for (const pid_t child : children) EXPECT_TRUE(Succeeds(child));
  }
}
#endif

TEST(ProcessPool, AThreadOfThePoolForks) {
  for (int round = 0; round < 10; ++round) {
    const pid_t caller = ::gettid();
    std::atomic<pid_t> child{0};
    std::atomic<bool> forks{false};
    const Status status = RunPipeline(
        kThreads, {kThreads, kThreads},
        [&](const PipelineItem&) {
          if (::gettid() != caller && !forks.exchange(true)) {
            child = Fork([] { return RunsTogether() && RunsAll(50); });
          }
          while (child == 0) std::this_thread::yield();
          return Status();
        },
        nullptr);
    EXPECT_TRUE(status.ok());
    EXPECT_TRUE(Succeeds(child));
  }
}

// It would wait for threads of the parent's.
TEST(ProcessPool, AChildEndsTasksOfItsParent) {
  std::atomic<bool> end{false};
  std::atomic<unsigned> inside{0};
  PoolTask task([&](const PoolTurn&) {
    ++inside;
    while (!end) std::this_thread::yield();
    return false;
  });
  task.Ask(2);
  ASSERT_TRUE(Comes([&] { return inside == 2; }));
  const pid_t child = Fork([&] {
    task.Stop();
    inside = 0;
    task.Ask(2);
    const bool came = Comes([&] { return inside == 2; });
    end = true;
    task.Stop();
    return came;
  });
  EXPECT_TRUE(Succeeds(child));
  end = true;
}

TEST(ProcessPool, WithoutTheSystemsThreads) {
  const pid_t child = Fork([] {
    const rlimit none = {0, 0};
    const bool is_bound = ::setrlimit(RLIMIT_NPROC, &none) == 0 &&
                          (::geteuid() != 0 || ::setresuid(65534, 65534, 65534) == 0);
    return is_bound && RunsAll(200) && OwnThreads() == 0;
  });
  EXPECT_TRUE(Succeeds(child));
}

TEST(ProcessPool, TheProcessExitsWhileThreadsWork) {
  std::vector<pid_t> children;
  for (unsigned i = 0; i < 20; ++i) {
    children.push_back(Fork([i] {
      for (int c = 0; c < 3; ++c) {
        std::thread([] {
          while (RunsAll(50)) {
          }
        }).detach();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      std::exit(0);
      return false;
    }));
  }
  for (const pid_t child : children) EXPECT_TRUE(Succeeds(child));
}

// What the library never destroys stays when it is unloaded, a few bytes.
void* Load(const std::string& path) {
  if (__lsan_disable != nullptr) __lsan_disable();
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (__lsan_enable != nullptr) __lsan_enable();
  return library;
}

// pool_user.so has the library in it, and a call for this test.
TEST(ProcessPool, TheLibraryIsUnloaded) {
  const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "pool_user.so";
  for (int round = 0; round < 50; ++round) {
    void* const library = Load(path);
    ASSERT_NE(library, nullptr) << ::dlerror();
    const auto use = reinterpret_cast<bool (*)()>(::dlsym(library, "UsePool"));
    ASSERT_NE(use, nullptr);
    EXPECT_TRUE(use());
    EXPECT_GT(OwnThreads(), 0u);
    ASSERT_EQ(::dlclose(library), 0);
    ASSERT_EQ(::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD), nullptr) << "it is still loaded";
    EXPECT_TRUE(Comes([] { return OwnThreads() == 0; }));
    EXPECT_TRUE(Succeeds(Fork([] { return true; }))) << "its handlers of forks are gone";
  }
}

}  // namespace
}  // namespace qstore::base
