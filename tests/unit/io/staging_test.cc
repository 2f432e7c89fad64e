// SPDX-License-Identifier: Apache-2.0
#include "io/staging.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "io/random_name.h"
#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

// A process that makes a staging directory, fills it and waits to be killed.
class Writer {
 public:
  explicit Writer(const fs::path& directory) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto parent = Directory::Open(directory);
      auto staging = Staging::Make(*parent, directory);
      std::vector<std::string> made;
      const bool filled = (*staging)->directory().MakeBelow("tree/sub", &made).ok();
      WriteFile((*staging)->directory().path() / "tree/sub/file", "text");
      if (::write(ready[1], filled ? "y" : "n", 1) == 1) ::pause();
      ::_exit(1);
    }
    char answer = 0;
    EXPECT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    ::close(ready[0]);
    ::close(ready[1]);
  }
  void Kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

TEST(RandomName, DiffersAndFitsThePattern) {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert(RandomName().data());
  EXPECT_EQ(names.size(), 1000u);
  EXPECT_EQ(names.begin()->size(), 8 + 16 + 4u);
}

TEST(Staging, LeavesNothing) {
  TempDir dir;
  const auto parent = Directory::Open(dir.path());
  {
    auto staging = Staging::Make(*parent, "shown");
    ASSERT_TRUE(staging.ok());
    EXPECT_EQ(EntryCount(dir.path()), 1u);
    EXPECT_NE((*staging)->NewName(), (*staging)->NewName());
    WriteFile((*staging)->directory().path() / "a/b/c", "text");
  }
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

TEST(Staging, AbandonedItStaysAndIsNoLeftover) {
  TempDir dir;
  const auto parent = Directory::Open(dir.path());
  {
    auto staging = Staging::Make(*parent, "shown");
    WriteFile((*staging)->directory().path() / "old", "of the user");
    (*staging)->Abandon();
  }
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), 1u);
  EXPECT_EQ(EntryCount(fs::directory_iterator(dir.path())->path()), 1u);
}

TEST(Leftovers, OfAKilledWriterAreRemovedAndOfALivingOneNot) {
  TempDir dir;
  const auto parent = Directory::Open(dir.path());
  Writer living(dir.path());
  Writer killed(dir.path());
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), 2u);
  killed.Kill();
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), 1u);
  living.Kill();
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

TEST(Leftovers, AreRemovedByManyAtOnceWhileOthersWrite) {
  TempDir dir;
  const auto parent = Directory::Open(dir.path());
  for (int round = 0; round < 10; ++round) {
    Writer killed(dir.path());
    killed.Kill();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          auto staging = Staging::Make(*parent, "shown");
          ASSERT_TRUE(staging.ok()) << staging.status().ToString();
          const fs::path file = (*staging)->directory().path() / "file";
          WriteFile(file, "text");
          RemoveLeftovers(*parent);
          EXPECT_EQ(ReadFile(file), "text");
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(EntryCount(dir.path()), 0u);
  }
}

TEST(Leftovers, WhatProvesNothingIsLeftAlone) {
  TempDir dir;
  std::string marker;
  {
    Writer killed(dir.path());
    killed.Kill();
    const fs::path left = fs::directory_iterator(dir.path())->path();
    marker = ReadFile(left / "writer");
    fs::remove_all(left);
  }
  ASSERT_FALSE(marker.empty());
  WriteFile(dir / ".qstore-1-0.tmp/mine", "mine");
  WriteFile(dir / ".qstore-file.tmp", "mine");
  WriteFile(dir / ".qstore-other-boot.tmp/writer", "qstore writes here, boot 0");
  WriteFile(dir / ".qstore-longer.tmp/writer", marker + "more");
  WriteFile(dir / ".qstore-unfinished.tmp/writer.new", marker);
  WriteFile(dir / "another-name/writer", marker);
  WriteFile(dir / "marker", marker);
  fs::create_directories(dir / ".qstore-link.tmp");
  fs::create_symlink(dir / "marker", dir / ".qstore-link.tmp/writer");
  fs::create_directory_symlink(dir / "another-name", dir / ".qstore-linked.tmp");
  const size_t before = EntryCount(dir.path());
  const auto parent = Directory::Open(dir.path());
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), before);
  EXPECT_EQ(ReadFile(dir / ".qstore-1-0.tmp/mine"), "mine");
  EXPECT_EQ(ReadFile(dir / "another-name/writer"), marker);
}

TEST(Leftovers, AreRemovedWithoutFollowingLinks) {
  TempDir dir;
  WriteFile(dir / "outside/file", "mine");
  Writer killed(dir.path());
  killed.Kill();
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    if (entry.path().filename() == "outside") continue;
    fs::create_directory_symlink(dir / "outside", entry.path() / "link");
    fs::create_directory_symlink(dir / "outside", entry.path() / "tree/sub/link");
  }
  const auto parent = Directory::Open(dir.path());
  RemoveLeftovers(*parent);
  EXPECT_EQ(EntryCount(dir.path()), 1u);
  EXPECT_EQ(ReadFile(dir / "outside/file"), "mine");
}

TEST(Leftovers, DeepOnesNeedFewDescriptors) {
  TempDir dir;
  const auto parent = Directory::Open(dir.path());
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit small { 40, before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  {
    auto staging = Staging::Make(*parent, "shown");
    std::string path;
    for (int i = 0; i < 500; ++i) path += i == 0 ? "d" : "/d";
    std::vector<std::string> made;
    EXPECT_TRUE((*staging)->directory().MakeBelow(path, &made).ok());
    EXPECT_EQ(made.size(), 500u);
  }
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

}  // namespace
}  // namespace qstore::io
