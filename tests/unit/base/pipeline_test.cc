// SPDX-License-Identifier: Apache-2.0
#include "base/pipeline.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace qstore::base {
namespace {

constexpr unsigned kThreads = 4;

TEST(Pipeline, EveryItemIsWorkedOnceAndRetiredInOrder) {
  constexpr uint64_t kCount = 2000;
  std::vector<std::atomic<int>> worked(kCount);
  std::vector<uint64_t> retired;
  const Status status = RunPipeline(
      kCount, {kThreads, 7},
      [&](const PipelineItem& item) {
        ++worked[item.index];
        return Status();
      },
      [&](const PipelineItem& item) {
        EXPECT_EQ(worked[item.index], 1);
        retired.push_back(item.index);
        return Status();
      });
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(retired.size(), kCount);
  for (uint64_t i = 0; i < kCount; ++i) EXPECT_EQ(retired[i], i);
}

TEST(Pipeline, AtMostTokensItemsAreInFlightAndSlotsAreExclusive) {
  constexpr size_t kTokens = 5;
  std::atomic<int> in_flight{0};
  std::vector<std::atomic<int>> slots(kTokens);
  std::vector<std::atomic<int>> workers(kThreads);
  const Status status = RunPipeline(
      500, {kThreads, kTokens},
      [&](const PipelineItem& item) {
        EXPECT_LE(++in_flight, static_cast<int>(kTokens));
        EXPECT_EQ(slots[item.slot]++, 0);
        EXPECT_EQ(workers[item.worker]++, 0);
        std::this_thread::yield();
        --workers[item.worker];
        return Status();
      },
      [&](const PipelineItem& item) {
        EXPECT_EQ(--slots[item.slot], 0);
        --in_flight;
        return Status();
      });
  EXPECT_TRUE(status.ok());
}

TEST(Pipeline, LowestErrorWinsWhateverTheTiming) {
  for (int round = 0; round < 20; ++round) {
    uint64_t retired = 0;
    const Status status = RunPipeline(
        100, {kThreads, 50},
        [&](const PipelineItem& item) {
          if (item.index == 10) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            return IoError("ten");
          }
          return item.index > 10 ? IoError("later") : Status();
        },
        [&](const PipelineItem&) {
          ++retired;
          return Status();
        });
    EXPECT_EQ(status.message(), "ten");
    EXPECT_EQ(retired, 10u);
  }
}

TEST(Pipeline, ErrorOfRetireStopsTheRun) {
  std::atomic<uint64_t> started{0};
  uint64_t retired = 0;
  const Status status = RunPipeline(
      10000, {kThreads, 8},
      [&](const PipelineItem& item) {
        ++started;
        return item.index == 60 ? IoError("work of 60") : Status();
      },
      [&](const PipelineItem& item) {
        if (item.index == 55) return Status(ErrorCode::kCancelled, "stop");
        ++retired;
        return Status();
      });
  EXPECT_EQ(status.code(), ErrorCode::kCancelled);
  EXPECT_EQ(retired, 55u);
  EXPECT_LE(started, 55u + 8u);
}

TEST(Pipeline, OneSlowItemDoesNotStopTheOthersUntilTokensRunOut) {
  std::atomic<uint64_t> finished{0};
  const Status status = RunPipeline(
      16, {kThreads, 16},
      [&](const PipelineItem& item) {
        // Item 0 can only end when all others, which do not wait for its retire, have ended.
        while (item.index == 0 && finished < 15) std::this_thread::yield();
        ++finished;
        return Status();
      },
      nullptr);
  EXPECT_TRUE(status.ok());
}

TEST(Pipeline, EdgeCounts) {
  const PipelineStep ok = [](const PipelineItem&) { return Status(); };
  EXPECT_TRUE(RunPipeline(0, {kThreads, 4}, ok, ok).ok());
  EXPECT_TRUE(RunPipeline(1, {0, 0}, ok, ok).ok());
  EXPECT_TRUE(RunPipeline(3, {100, 1}, ok, nullptr).ok());
  EXPECT_GE(ThreadCount(0), 1u);
  EXPECT_EQ(ThreadCount(3), 3u);
}

TEST(Pipeline, ExceptionsBecomeErrors) {
  const auto run = [](const PipelineStep& work) {
    return RunPipeline(8, {kThreads, 8}, work, nullptr).code();
  };
  EXPECT_EQ(run([](const PipelineItem&) -> Status { throw std::bad_alloc(); }), ErrorCode::kLimit);
  EXPECT_EQ(run([](const PipelineItem&) -> Status { throw std::string("x").at(1); }),
            ErrorCode::kInternal);
  EXPECT_EQ(run([](const PipelineItem&) -> Status { throw 1; }), ErrorCode::kInternal);
}

TEST(Pipeline, ItemsOfUnknownNumberAreAskedForOneAfterTheOther) {
  for (const uint64_t count : {0u, 1u, 300u}) {
    uint64_t asked = 0;
    std::vector<uint64_t> slots(7);  // What begin left there.
    uint64_t retired = 0;
    const Status status = RunPipeline(
        [&](const PipelineItem& item) -> Result<bool> {
          EXPECT_EQ(item.index, asked++);
          slots[item.slot] = item.index;
          return item.index < count;
        },
        {kThreads, slots.size()},
        [&](const PipelineItem& item) {
          EXPECT_EQ(slots[item.slot], item.index);
          return Status();
        },
        [&](const PipelineItem& item) {
          EXPECT_EQ(item.index, retired++);
          EXPECT_EQ(slots[item.slot], item.index);
          return Status();
        });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(asked, count + 1);
    EXPECT_EQ(retired, count);
  }
}

TEST(Pipeline, AskingForItemsMayFail) {
  for (const bool throws : {false, true}) {
    uint64_t retired = 0;
    const Status status = RunPipeline(
        [&](const PipelineItem& item) -> Result<bool> {
          if (item.index < 20) return true;
          if (throws) throw std::bad_alloc();
          return LimitExceeded("too many");
        },
        {kThreads, 8}, [](const PipelineItem&) { return Status(); },
        [&](const PipelineItem&) {
          ++retired;
          return Status();
        });
    EXPECT_EQ(status.code(), ErrorCode::kLimit);
    EXPECT_EQ(retired, 20u);
  }
}

}  // namespace
}  // namespace qstore::base
