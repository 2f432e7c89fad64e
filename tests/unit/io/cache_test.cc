// SPDX-License-Identifier: Apache-2.0
#include "io/cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

class CacheTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  Cache cache_ = *Cache::Open(dir_ / "deep/cache");

  std::shared_ptr<Cache::Lock> Lock(const std::string& name, Cache::Mode mode) {
    auto lock = cache_.LockEntry(name, mode, [] { return false; });
    return lock.ok() ? *lock : nullptr;
  }
  // An entry of so many bytes that was asked for so many seconds ago.
  std::string MakeEntry(const std::string& readable, size_t bytes, time_t age) {
    const std::string name = Cache::NameOf(readable, readable);
    testing::WriteFile(cache_.PathOf(name) / "folder" / "file", std::string(bytes, 'x'));
    Lock(name, Cache::Mode::kAlone);
    const std::string lock = cache_.PathOf(name).string() + ".lock";
    const timespec time{1'000'000'000 - age, 0};
    const timespec times[2] = {time, time};
    EXPECT_EQ(::utimensat(AT_FDCWD, lock.c_str(), times, 0), 0);
    return name;
  }
  bool Has(const std::string& name) const {
    EXPECT_EQ(std::filesystem::exists(cache_.PathOf(name)),
              std::filesystem::exists(cache_.PathOf(name).string() + ".lock"));
    return std::filesystem::exists(cache_.PathOf(name));
  }
};

TEST_F(CacheTest, NamesSayWhatTheyAreOf) {
  const std::string name = Cache::NameOf("m-q4_k/../\xff", "key");
  EXPECT_TRUE(name.starts_with("m-q4_k-..--")) << name;
  EXPECT_EQ(name.find('/'), std::string::npos);
  EXPECT_NE(name, Cache::NameOf("m-q4_k/../\xff", "other"));
  EXPECT_NE(Cache::NameOf(".hidden", "key").front(), '.');
  EXPECT_LE(Cache::NameOf(std::string(1000, 'a'), "key").size(), 128U);
}

TEST_F(CacheTest, WhatWasAskedForLongestAgoGoesFirst) {
  const std::string old = MakeEntry("old", 1000, 30);
  const std::string older = MakeEntry("older", 1000, 40);
  const std::string fresh = MakeEntry("fresh", 1000, 10);
  cache_.MakeRoom(3000);
  EXPECT_TRUE(Has(old) && Has(older) && Has(fresh));
  cache_.MakeRoom(2999);
  EXPECT_TRUE(Has(old) && !Has(older) && Has(fresh));
  Lock(old, Cache::Mode::kShared)->Touch();
  cache_.MakeRoom(1000);
  EXPECT_TRUE(Has(old) && !Has(fresh));
  cache_.MakeRoom(0);
  EXPECT_FALSE(Has(old));
  EXPECT_EQ(testing::EntryCount(cache_.PathOf("")), 0U);
}

TEST_F(CacheTest, LockedEntriesStay) {
  const std::string used = MakeEntry("used", 1000, 30);
  const std::string made = MakeEntry("made", 1000, 20);
  const std::string other = MakeEntry("other", 1000, 10);
  const auto shared = Lock(used, Cache::Mode::kShared);
  const auto alone = Lock(made, Cache::Mode::kAlone);
  cache_.MakeRoom(0);
  EXPECT_TRUE(Has(used) && Has(made) && !Has(other));
}

TEST_F(CacheTest, OthersFilesAreLeftAlone) {
  const std::string strange = "no-0123456789abcdef0123456789ABCDEF";
  testing::WriteFile(cache_.PathOf(strange) / "file", "x");
  testing::WriteFile(cache_.PathOf("file"), "x");
  MakeEntry("entry", 1000, 10);
  cache_.MakeRoom(0);
  EXPECT_EQ(testing::EntryCount(cache_.PathOf("")), 2U);
}

TEST_F(CacheTest, LocksAreSharedOrAlone) {
  const std::string name = Cache::NameOf("a", "a");
  {
    const auto first = Lock(name, Cache::Mode::kShared);
    EXPECT_NE(Lock(name, Cache::Mode::kShared), nullptr);
    EXPECT_EQ(Lock(name, Cache::Mode::kAlone), nullptr);
  }
  const auto alone = Lock(name, Cache::Mode::kAlone);
  EXPECT_NE(alone, nullptr);
  int asked = 0;
  const auto waited =
      cache_.LockEntry(name, Cache::Mode::kShared, [&] { return ++asked < 3; }).status();
  EXPECT_EQ(waited.code(), ErrorCode::kCancelled);
  EXPECT_EQ(asked, 3);
  // Who removes an entry removes the file that others lock.
  cache_.Forget(name);
  EXPECT_NE(Lock(name, Cache::Mode::kAlone), nullptr);
}

}  // namespace
}  // namespace qstore::io
