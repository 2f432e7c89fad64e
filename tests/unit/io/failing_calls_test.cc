// SPDX-License-Identifier: Apache-2.0
// What output files do when the system fails them. The calls below stand in front of those of the C
// library.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

#include "io/output_file.h"
#include "io/output_tree.h"
#include "io/random_name.h"
#include "io/staging.h"
#include "unit/test_files.h"

namespace {

struct Failures {
  int directory_sync = 0;       // The number of the first fsync of a directory to fail; 0: none.
  bool exchange = false;        // The file system cannot exchange two names.
  bool link = false;            // Nor link a file twice.
  bool empty_write = false;     // A write takes no byte.
  bool names_are_kept = false;  // After the first fsync failed no name can be changed.
  bool locks = false;           // The file system has no locks.
  bool random = false;          // The system has no random numbers yet.
};

Failures failures;
int syncs = 0;

bool NamesFail() {
  const bool fail = failures.names_are_kept && syncs >= failures.directory_sync;
  if (fail) errno = EROFS;
  return fail;
}

}  // namespace

extern "C" {

int fsync(int fd) {
  struct stat status;
  if (failures.directory_sync != 0 && ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) &&
      ++syncs >= failures.directory_sync) {
    errno = EIO;
    return -1;
  }
  return 0;  // The tests need no disk.
}

int renameat2(int from, const char* old_name, int to, const char* name, unsigned flags) noexcept {
  if (NamesFail()) return -1;
  if (failures.exchange && flags == RENAME_EXCHANGE) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat2, from, old_name, to, name, flags));
}

int renameat(int from, const char* old_name, int to, const char* name) noexcept {
  if (NamesFail()) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, from, old_name, to, name, 0));
}

int linkat(int from, const char* old_name, int to, const char* name, int flags) noexcept {
  if (failures.link) {
    errno = EPERM;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_linkat, from, old_name, to, name, flags));
}

int flock(int fd, int operation) noexcept {
  if (failures.locks) {
    errno = ENOLCK;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

ssize_t getrandom(void* to, size_t size, unsigned flags) {
  if (failures.random) {
    errno = EAGAIN;
    return -1;
  }
  return static_cast<ssize_t>(::syscall(SYS_getrandom, to, size, flags));
}

ssize_t pwritev(int fd, const struct iovec* vectors, int count, off_t offset) {
  if (failures.empty_write) return 0;
  return static_cast<ssize_t>(::syscall(SYS_pwritev, fd, vectors, count, offset, 0));
}
}

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class FailingCalls : public ::testing::Test {
 protected:
  void SetUp() override { Fail({}); }
  void TearDown() override { Fail({}); }
  static void Fail(const Failures& wanted) {
    failures = wanted;
    syncs = 0;
  }
  size_t EntryCount(const char* name = "") const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(dir_ / name), fs::directory_iterator()));
  }

  TempDir dir_;
};

TEST_F(FailingCalls, AFileWhoseNameCannotBeSyncedDoesNotAppear) {
  for (const int sync : {1, 2, 3}) {
    auto file = OutputFile::Create(dir_ / "new/sub/f", {});
    ASSERT_TRUE(file.ok());
    Fail({.directory_sync = sync});
    EXPECT_EQ((*file)->Commit().code(), ErrorCode::kIo);
    file->reset();
    EXPECT_EQ(EntryCount(), 0u);
  }
}

TEST_F(FailingCalls, AFileWhoseNameCannotBeSyncedLeavesTheOldOne) {
  WriteFile(dir_ / "f", "old");
  for (const bool exchange_fails : {false, true}) {
    auto file = OutputFile::Create(dir_ / "f", {.overwrite = true});
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append(Bytes("new")).ok());
    Fail({.directory_sync = 1, .exchange = exchange_fails});
    EXPECT_EQ((*file)->Commit().code(), ErrorCode::kIo);
    file->reset();
    EXPECT_EQ(ReadFile(dir_ / "f"), "old");
    EXPECT_EQ(EntryCount(), 1u);
  }
}

TEST_F(FailingCalls, FileSystemsThatCannotExchangeNames) {
  WriteFile(dir_ / "f", "old");
  for (const bool link_fails : {false, true}) {
    auto file = OutputFile::Create(dir_ / "f", {.overwrite = true});
    const std::string text = link_fails ? "no link" : "link";
    ASSERT_TRUE((*file)->Append(Bytes(text)).ok());
    Fail({.exchange = true, .link = link_fails});
    EXPECT_TRUE((*file)->Commit().ok());
    EXPECT_EQ(ReadFile(dir_ / "f"), text);
    EXPECT_EQ(EntryCount(), 1u);
  }
}

TEST_F(FailingCalls, WhatCannotBeBroughtBackIsKeptAndNamed) {
  WriteFile(dir_ / "f", "old");
  auto file = OutputFile::Create(dir_ / "f", {.overwrite = true});
  ASSERT_TRUE((*file)->Append(Bytes("new")).ok());
  Fail({.directory_sync = 1, .names_are_kept = true});
  const Status status = (*file)->Commit();
  EXPECT_EQ(status.code(), ErrorCode::kIo);
  file->reset();
  EXPECT_EQ(EntryCount(), 2u);
  const size_t begin = status.message().find("brought back from ") + 18;
  const size_t end = status.message().find(": ", begin);
  EXPECT_EQ(ReadFile(status.message().substr(begin, end - begin)), "old") << status.message();
}

TEST_F(FailingCalls, ATreeIsAsItWasWhenANameCannotBeSynced) {
  for (const bool exchange_fails : {false, true}) {
    for (const int sync : {1, 2, 3, 4}) {
      WriteFile(dir_ / "out/a", "old a");
      WriteFile(dir_ / "out/sub/b", "old b");
      WriteFile(dir_ / "out/sub/c", "old c");
      auto tree = OutputTree::Create(dir_ / "out", {.overwrite = true});
      ASSERT_TRUE(tree.ok());
      for (const char* name : {"a", "sub/b", "new/deep/d"}) ASSERT_TRUE(tree->Add(name).ok());
      tree->Remove("sub/c");
      Fail({.directory_sync = sync, .exchange = exchange_fails});
      EXPECT_EQ(tree->Commit().code(), ErrorCode::kIo) << sync;
      EXPECT_EQ(ReadFile(dir_ / "out/a"), "old a");
      EXPECT_EQ(ReadFile(dir_ / "out/sub/b"), "old b");
      EXPECT_EQ(ReadFile(dir_ / "out/sub/c"), "old c");
      EXPECT_EQ(EntryCount("out"), 2u);
      EXPECT_EQ(EntryCount("out/sub"), 2u);
    }
  }
}

TEST_F(FailingCalls, ANewTreeDoesNotAppearWhenANameCannotBeSynced) {
  for (const int sync : {1, 2, 3, 4}) {
    auto tree = OutputTree::Create(dir_ / "new/out", {});
    ASSERT_TRUE(tree.ok());
    for (const char* name : {"a", "sub/b"}) ASSERT_TRUE(tree->Add(name).ok());
    Fail({.directory_sync = sync});
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kIo) << sync;
    EXPECT_EQ(EntryCount(), 0u);
  }
}

TEST_F(FailingCalls, AWriteThatTakesNoByteIsAnError) {
  auto file = OutputFile::Create(dir_ / "f", {});
  ASSERT_TRUE((*file)->Append(Bytes("text")).ok());
  Fail({.empty_write = true});
  EXPECT_EQ((*file)->Commit().code(), ErrorCode::kIo);
}

TEST_F(FailingCalls, WithoutLocksOutputsAppearAllTheSame) {
  Fail({.locks = true});
  auto file = OutputFile::Create(dir_ / "new/f", {});
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  ASSERT_TRUE((*file)->Append(Bytes("text")).ok());
  EXPECT_TRUE((*file)->Commit().ok());
  auto tree = OutputTree::Create(dir_ / "tree", {});
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(tree->Add("sub/f").ok());
  EXPECT_TRUE(tree->Commit().ok());
  EXPECT_EQ(ReadFile(dir_ / "new/f"), "text");
  EXPECT_EQ(EntryCount(), 2u);
  EXPECT_EQ(EntryCount("new"), 1u);
  EXPECT_EQ(EntryCount("tree"), 1u);
}

// A lock is the only proof that a writer lives.
TEST_F(FailingCalls, WithoutLocksNothingIsALeftover) {
  const auto parent = Directory::Open(dir_.path());
  ASSERT_TRUE(parent.ok());
  {
    const auto marked = Staging::Make(*parent, "shown");
    ASSERT_TRUE(marked.ok());
    const fs::path held = (*marked)->directory().path();
    EXPECT_TRUE(fs::exists(held / "writer"));
    Fail({.locks = true});
    const auto unmarked = Staging::Make(*parent, "shown");
    ASSERT_TRUE(unmarked.ok());
    EXPECT_TRUE(fs::is_empty((*unmarked)->directory().path()));
    WriteFile((*unmarked)->directory().path() / "file", "text");
    RemoveLeftovers(*parent);
    EXPECT_TRUE(fs::exists(held / "writer"));
    // One that a killed writer has left looks the same to whoever has locks again.
    Fail({});
    RemoveLeftovers(*parent);
    EXPECT_EQ(ReadFile((*unmarked)->directory().path() / "file"), "text");
  }
  EXPECT_EQ(EntryCount(), 0u);
}

TEST_F(FailingCalls, WithoutRandomNumbersNamesDifferAndAreTakenOnce) {
  Fail({.random = true});
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert(RandomName().data());
  EXPECT_EQ(names.size(), 1000u);
  const auto parent = Directory::Open(dir_.path());
  ASSERT_TRUE(parent.ok());
  const auto a = Staging::Make(*parent, "shown");
  const auto b = Staging::Make(*parent, "shown");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE((*a)->directory().path(), (*b)->directory().path());
  EXPECT_EQ(EntryCount(), 2u);
}

}  // namespace
}  // namespace qstore::io
