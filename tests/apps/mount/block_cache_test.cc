// SPDX-License-Identifier: Apache-2.0
#include "mount/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace qstore::mount {
namespace {

using namespace std::chrono_literals;

constexpr size_t kPlaceBytes = 64;

Block BlockOf(uint64_t number) { return {7, number * kPlaceBytes, (number + 1) * kPlaceBytes}; }

// Content that tells its block.
void FillBytes(const Block& block, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), static_cast<std::byte>(block.begin / kPlaceBytes));
}

bool IsContentOf(const BlockCache::Hold& hold, uint64_t number) {
  return hold.bytes().size() == kPlaceBytes &&
         std::ranges::all_of(
             hold.bytes(), [&](std::byte byte) { return byte == static_cast<std::byte>(number); });
}

/// Counts loads, and can have them wait or fail.
struct Loader {
  std::atomic<unsigned> loads{0};
  std::atomic<bool> held{false};
  std::atomic<bool> fails{false};

  BlockCache::Load function() {
    return [this](const Block& block, std::span<std::byte> out) -> Status {
      ++loads;
      while (held) std::this_thread::sleep_for(100us);
      if (fails) return IoError("this load fails");
      FillBytes(block, out);
      return {};
    };
  }
  void Await(unsigned count) const {
    while (loads < count) std::this_thread::sleep_for(100us);
  }
};

std::unique_ptr<BlockCache> CacheOf(Loader* loader, size_t places, size_t threads = 2) {
  auto cache = BlockCache::Make({places, kPlaceBytes, threads}, loader->function());
  EXPECT_TRUE(cache.ok()) << cache.status().ToString();
  return std::move(cache).value();
}

TEST(BlockCache, LoadsOnceAndForgetsTheOldest) {
  Loader loader;
  const auto cache = CacheOf(&loader, 3);
  for (const uint64_t number : {0, 1, 2, 0, 1, 2, 0}) {
    const auto hold = cache->Get(BlockOf(number));
    ASSERT_TRUE(hold.ok());
    EXPECT_TRUE(IsContentOf(*hold, number));
  }
  EXPECT_EQ(loader.loads, 3u);
  ASSERT_TRUE(cache->Get(BlockOf(3)).ok());  // In the place of 1, unused for longest.
  ASSERT_TRUE(cache->Get(BlockOf(0)).ok());
  ASSERT_TRUE(cache->Get(BlockOf(2)).ok());
  EXPECT_EQ(loader.loads, 4u);
  ASSERT_TRUE(cache->Get(BlockOf(1)).ok());
  EXPECT_EQ(loader.loads, 5u);
}

// Whoever reads a file from its beginning to its end keeps nothing else out.
TEST(BlockCache, WhatIsUsedUpIsForgottenFirst) {
  Loader loader;
  const auto cache = CacheOf(&loader, 3);
  ASSERT_TRUE(cache->Get(BlockOf(0)).ok());
  for (uint64_t number = 1; number < 20; ++number) {
    for (const size_t bytes : {kPlaceBytes / 4, kPlaceBytes / 4 * 3}) {
      const auto hold = cache->Get(BlockOf(number));
      ASSERT_TRUE(hold.ok());
      hold->Use(bytes);
    }
  }
  EXPECT_EQ(loader.loads, 20u) << "a block is there until all of it is used";
  ASSERT_TRUE(cache->Get(BlockOf(0)).ok());
  EXPECT_EQ(loader.loads, 20u);
}

TEST(BlockCache, BlocksOfOtherFilesAreOthers) {
  Loader loader;
  const auto cache = CacheOf(&loader, 3);
  ASSERT_TRUE(cache->Get({1, 0, kPlaceBytes}).ok());
  ASSERT_TRUE(cache->Get({2, 0, kPlaceBytes}).ok());
  EXPECT_EQ(loader.loads, 2u);
}

TEST(BlockCache, ManyWhoAskAtOnceShareALoad) {
  Loader loader;
  const auto cache = CacheOf(&loader, 4);
  loader.held = true;
  std::vector<std::thread> threads;
  std::atomic<unsigned> right{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      const auto hold = cache->Get(BlockOf(5));
      if (hold.ok() && IsContentOf(*hold, 5)) ++right;
    });
  }
  loader.Await(1);
  std::this_thread::sleep_for(20ms);
  loader.held = false;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8u);
  EXPECT_EQ(loader.loads, 1u);
}

TEST(BlockCache, WhatIsHeldStaysAndOthersWait) {
  Loader loader;
  const auto cache = CacheOf(&loader, 2);
  auto first = cache->Get(BlockOf(1));
  ASSERT_TRUE(first.ok());
  std::vector<std::thread> threads;
  for (uint64_t t = 2; t < 12; ++t) {
    threads.emplace_back([&cache, t] {
      const auto hold = cache->Get(BlockOf(t));
      ASSERT_TRUE(hold.ok());
      std::this_thread::sleep_for(1ms);
      EXPECT_TRUE(IsContentOf(*hold, t));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(IsContentOf(*first, 1));
}

TEST(BlockCache, ErrorsAreSharedAndForgotten) {
  Loader loader;
  const auto cache = CacheOf(&loader, 2);
  loader.fails = true;
  loader.held = true;
  std::vector<std::thread> threads;
  std::atomic<unsigned> failed{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      if (cache->Get(BlockOf(3)).status().code() == ErrorCode::kIo) ++failed;
    });
  }
  loader.Await(1);
  std::this_thread::sleep_for(20ms);
  loader.held = false;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 4u);
  loader.fails = false;
  const auto hold = cache->Get(BlockOf(3));
  ASSERT_TRUE(hold.ok());
  EXPECT_TRUE(IsContentOf(*hold, 3));
  ASSERT_TRUE(cache->Get(BlockOf(4)).ok()) << "the place of what failed is free again";
}

TEST(BlockCache, LoadsAhead) {
  Loader loader;
  const auto cache = CacheOf(&loader, 8);
  for (const uint64_t number : {1, 2, 3}) EXPECT_TRUE(cache->Prefetch(BlockOf(number)));
  EXPECT_TRUE(cache->Prefetch(BlockOf(2))) << "it is under way";
  loader.Await(3);
  for (const uint64_t number : {1, 2, 3}) {
    const auto hold = cache->Get(BlockOf(number));
    ASSERT_TRUE(hold.ok());
    EXPECT_TRUE(IsContentOf(*hold, number));
  }
  EXPECT_EQ(loader.loads, 3u);
}

// Else what is loaded ahead would push itself out.
TEST(BlockCache, LoadsNoMoreAheadThanHalfOfIt) {
  Loader loader;
  const auto cache = CacheOf(&loader, 8);
  for (const uint64_t number : {1, 2, 3, 4}) EXPECT_TRUE(cache->Prefetch(BlockOf(number)));
  EXPECT_FALSE(cache->Prefetch(BlockOf(5)));
  loader.Await(4);
  EXPECT_FALSE(cache->Prefetch(BlockOf(5))) << "nobody has taken them";
  ASSERT_TRUE(cache->Get(BlockOf(1)).ok());
  EXPECT_TRUE(cache->Prefetch(BlockOf(5)));
}

TEST(BlockCache, WhatFailsAheadIsTriedAgain) {
  Loader loader;
  const auto cache = CacheOf(&loader, 2);
  loader.fails = true;
  for (int i = 0; i < 5; ++i) {
    const unsigned before = loader.loads;
    ASSERT_TRUE(cache->Prefetch(BlockOf(1)));
    loader.Await(before + 1);
    EXPECT_FALSE(cache->Get(BlockOf(1)).ok());
  }
  loader.fails = false;
  EXPECT_TRUE(cache->Get(BlockOf(1)).ok());
}

TEST(BlockCache, EndsWhileSomethingIsAskedForAhead) {
  for (int i = 0; i < 50; ++i) {
    Loader loader;
    const auto cache = CacheOf(&loader, 8, 3);
    for (const uint64_t number : {1, 2, 3, 4}) cache->Prefetch(BlockOf(number));
  }
}

TEST(BlockCache, ManyThreadsGetWhatTheyAskFor) {
  Loader loader;
  const auto cache = CacheOf(&loader, 6, 3);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 2000; ++i) {
        const uint64_t number = random() % 40;
        if (i % 3 == 0) cache->Prefetch(BlockOf(number));
        const auto hold = cache->Get(BlockOf(number));
        ASSERT_TRUE(hold.ok());
        ASSERT_TRUE(IsContentOf(*hold, number));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(BlockCache, RefusesMoreThanThereIs) {
  Loader loader;
  const auto none = BlockCache::Make({SIZE_MAX / 4, 16, 1}, loader.function());
  EXPECT_EQ(none.status().code(), ErrorCode::kLimit);
  EXPECT_EQ(BlockCache::Make({4, 0, 1}, loader.function()).status().code(), ErrorCode::kLimit);
}

}  // namespace
}  // namespace qstore::mount
