// SPDX-License-Identifier: Apache-2.0
#include "store/object_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace qstore::store {
namespace {

constexpr size_t kBlockBytes = 100;
constexpr size_t kBlocks = 8;

// Fills a block with its number.
Status Fill(size_t block, std::span<std::byte> content) {
  std::fill_n(content.begin() + static_cast<ptrdiff_t>(block * kBlockBytes), kBlockBytes,
              static_cast<std::byte>(block));
  return {};
}

WholeLoader::Shape ShapeOf(ContentId) { return {kBlocks * kBlockBytes, kBlocks}; }

void ExpectFilled(const Result<WholeContent>& whole) {
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  ASSERT_EQ(whole->bytes.size(), kBlocks * kBlockBytes);
  for (size_t i = 0; i < whole->bytes.size(); ++i) {
    ASSERT_EQ(whole->bytes[i], static_cast<std::byte>(i / kBlockBytes));
  }
}

// What `count` threads get that ask for object 0 at once.
std::vector<Result<WholeContent>> GetAtOnce(ObjectCache* cache, size_t count) {
  std::vector<Result<WholeContent>> got;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < count; ++t) {
    threads.emplace_back([&got, &mutex, cache] {
      auto whole = cache->Get(0);
      const std::lock_guard lock(mutex);
      got.push_back(std::move(whole));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return got;
}

TEST(ObjectCache, ThreadsThatAskMeanwhileLoadBlocksToo) {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::thread::id> threads;
  std::vector<int> loads(kBlocks);
  bool met = true;
  ObjectCache cache({ShapeOf, [&](ContentId, size_t block, std::span<std::byte> content) {
                       std::unique_lock lock(mutex);
                       ++loads[block];
                       threads.insert(std::this_thread::get_id());
                       changed.notify_all();
                       met = changed.wait_for(lock, std::chrono::seconds(60), [&] {
                         return threads.size() == 2;
                       }) && met;
                       return Fill(block, content);
                     }});
  for (const auto& whole : GetAtOnce(&cache, 2)) ExpectFilled(whole);
  EXPECT_TRUE(met);
  EXPECT_EQ(loads, std::vector<int>(kBlocks, 1));
  ExpectFilled(cache.Get(0));
  EXPECT_EQ(loads, std::vector<int>(kBlocks, 1));
}

TEST(ObjectCache, TheLowestBlockThatFailsIsToldToAllAndForgotten) {
  for (int round = 0; round < 100; ++round) {
    std::atomic<bool> is_broken = true;
    ObjectCache cache({ShapeOf, [&](ContentId, size_t block, std::span<std::byte> content) {
                         if (is_broken && block >= 3)
                           return Corrupt("block " + std::to_string(block));
                         return Fill(block, content);
                       }});
    // Who comes after the failure tries again, and fails alike.
    for (const auto& whole : GetAtOnce(&cache, 4)) {
      ASSERT_EQ(whole.status().code(), ErrorCode::kCorrupt);
      ASSERT_NE(whole.status().ToString().find("block 3"), std::string::npos);
    }
    is_broken = false;
    ExpectFilled(cache.Get(0));
  }
}

TEST(ObjectCache, ExceptionsAreErrorsOfAll) {
  ObjectCache cache({ShapeOf, [](ContentId, size_t block, std::span<std::byte> content) -> Status {
                       if (block == 2) throw std::bad_alloc();
                       return Fill(block, content);
                     }});
  for (const auto& whole : GetAtOnce(&cache, 3)) {
    EXPECT_EQ(whole.status().code(), ErrorCode::kLimit);
  }
}

TEST(ObjectCache, ObjectsMayBeEmptyAndAskForOthers) {
  ObjectCache* self = nullptr;
  ObjectCache cache(
      {[](ContentId id) { return id.object == 1 ? WholeLoader::Shape{} : ShapeOf(id); },
       [&](ContentId id, size_t block, std::span<std::byte> content) {
         if (id.object != 0) return Fill(block, content);
         ExpectFilled(self->Get(2));
         EXPECT_TRUE(self->Get(1)->bytes.empty());
         return Fill(block, content);
       }});
  self = &cache;
  for (const auto& whole : GetAtOnce(&cache, 4)) ExpectFilled(whole);
}

// What is counted of an object of no content.
constexpr uint64_t kLittle = 1024;

TEST(ObjectCache, ForgetsWhatIsNotInUseWhenThereIsNoRoom) {
  std::vector<int> loads(10);
  ObjectCache cache({ShapeOf,
                     [&](ContentId id, size_t block, std::span<std::byte> content) {
                       if (block == 0) ++loads[id.object];
                       return Fill(block, content);
                     }},
                    3 * (kBlocks * kBlockBytes + kLittle));
  {
    const auto used = cache.Get(0);
    for (uint32_t object = 1; object < 10; ++object) ExpectFilled(cache.Get(object));
    ExpectFilled(cache.Get(0));
    ExpectFilled(used);
    EXPECT_EQ(loads, std::vector<int>(10, 1));
  }
  // The last ones are there still, the first ones not.
  ExpectFilled(cache.Get(9));
  EXPECT_EQ(loads[9], 1);
  ExpectFilled(cache.Get(1));
  EXPECT_EQ(loads[1], 2);
}

// More than it keeps as a rule, and in turns, so that what is forgotten is what comes next.
TEST(ObjectCache, KeepsAllThatWhoeverIsInsideAsksFor) {
  constexpr uint32_t kChunks = 40;
  for (const bool is_inside : {false, true}) {
    size_t loads = 0;
    ObjectCache cache(
        {ShapeOf,
         [&](ContentId, size_t block, std::span<std::byte> content) {
           if (block == 0) ++loads;
           return Fill(block, content);
         },
         [](uint32_t) { return kChunks * (kBlocks * kBlockBytes + ObjectCache::kEntryBytes); }},
        UINT64_MAX, 0);
    if (is_inside) {
      ASSERT_TRUE(cache.Enter(9).ok());
    }
    for (uint32_t i = 0; i < 3 * kChunks; ++i) {
      ASSERT_TRUE(cache.Get(ContentId(5, i % kChunks)).ok());
    }
    EXPECT_EQ(loads, is_inside ? kChunks : 3 * kChunks);
    if (is_inside) cache.Leave(9);
  }
}

TEST(ObjectCache, ThreadsEnterWhenThereIsRoomForAllThatTheyNeed) {
  ObjectCache cache(
      {ShapeOf,
       [](ContentId, size_t block, std::span<std::byte> content) { return Fill(block, content); },
       [](uint32_t object) { return object == 7 ? 0 : uint64_t{10}; }},
      25);
  std::atomic<bool> is_in = false;
  ASSERT_TRUE(cache.Enter(1).ok());
  ASSERT_TRUE(cache.Enter(2).ok());
  ASSERT_TRUE(cache.Enter(2).ok());  // Shared.
  ASSERT_TRUE(cache.Enter(7).ok());
  std::thread third([&] {
    EXPECT_TRUE(cache.Enter(3).ok());
    is_in = true;
    cache.Leave(3);
  });
  cache.Leave(7);
  cache.Leave(2);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(is_in);
  cache.Leave(2);
  third.join();
  EXPECT_TRUE(is_in);
  cache.Leave(1);
}

}  // namespace
}  // namespace qstore::store
