// SPDX-License-Identifier: Apache-2.0
#include "mount/background.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "unit/test_files.h"

namespace qstore::mount {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

// What the old process is told, when the new one does `act` and then ends.
template <class Act>
Status OutcomeOf(const Act& act) {
  auto background = Background::Start();
  if (!background.ok()) return background.status();
  if (background->is_new()) {
    act(&*background);
    ::_exit(9);
  }
  Status outcome = background->Wait();
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  return outcome;
}

TEST(Background, IsAwaitedUntilItIsReady) {
  const TempDir dir;
  const std::string mark = (dir / "mark").string();
  const Status outcome = OutcomeOf([&](Background* background) {
    ::usleep(50000);
    WriteFile(mark, "ready");
    background->Ready();
  });
  EXPECT_TRUE(outcome.ok()) << outcome.ToString();
}

TEST(Background, LeavesTheDirectoryAndTheTerminal) {
  const TempDir dir;
  const std::string mark = (dir / "mark").string();
  const Status outcome = OutcomeOf([&](Background* background) {
    background->Ready();
    char here[8] = {};
    char there[64] = {};
    const bool left = ::getcwd(here, sizeof(here)) != nullptr && std::string(here) == "/";
    const bool closed = ::readlink("/proc/self/fd/2", there, sizeof(there) - 1) > 0 &&
                        std::string(there) == "/dev/null";
    if (left && closed && ::getsid(0) == ::getpid()) WriteFile(mark, "left");
  });
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(ReadFile(mark), "left");
}

TEST(Background, HandsItsErrorOver) {
  const Status outcome = OutcomeOf(
      [](Background* background) { background->Fail(NotFound("m.qstore: is not there")); });
  EXPECT_EQ(outcome.ToString(), "not-found: m.qstore: is not there");
}

TEST(Background, IsNoticedWhenItDies) {
  const Status outcome = OutcomeOf([](Background*) { ::raise(SIGKILL); });
  EXPECT_EQ(outcome.code(), ErrorCode::kIo);
}

}  // namespace
}  // namespace qstore::mount
