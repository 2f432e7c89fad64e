// SPDX-License-Identifier: Apache-2.0
#include "store/whole_buffers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/pipeline.h"

namespace qstore::store {
namespace {

constexpr size_t kSize = size_t{1} << 16;
constexpr size_t kWholes = 12;
constexpr unsigned kThreads = 4;

// Each whole is filled by one unit and taken by the next one.
std::vector<WholeBuffers::Use> UsesOf(size_t unit) {
  return {{static_cast<uint32_t>(unit / 2), unit % 2 == 0}};
}

std::vector<WholeBuffers::Whole> Wholes(std::span<std::byte> place) {
  std::vector<WholeBuffers::Whole> wholes(kWholes);
  for (size_t w = 0; w < kWholes; ++w) {
    wholes[w] = {static_cast<uint32_t>(w), kSize, w % 3 == 0 ? place : std::span<std::byte>(), 1,
                 2};
  }
  return wholes;
}

TEST(WholeBuffers, UnitsWaitForMemoryThatIsLimited) {
  std::vector<std::byte> place(kSize);
  for (const size_t at_once : {1u, 2u, 100u}) {
    WholeBuffers wholes(Wholes(place), at_once * kSize);
    std::atomic<size_t> held = 0;
    std::atomic<size_t> most = 0;
    const Status status = base::RunPipeline(
        2 * kWholes, {kThreads, 2 * kWholes},
        [&](const base::PipelineItem& item) -> Status {
          const auto uses = UsesOf(item.index);
          const bool is_own = item.index / 2 % 3 != 0;
          wholes.Begin(item.index, uses);
          if (uses[0].writes) {
            if (is_own) most = std::max<size_t>(most, ++held);
            const auto memory = wholes.Place(uses[0].whole);
            if (!memory.ok()) return memory.status();
            std::fill(memory->begin(), memory->end(), static_cast<std::byte>(item.index / 2));
          } else {
            const auto bytes = wholes.Take(uses[0].whole);
            EXPECT_TRUE(bytes.ok());
            if (is_own) {
              EXPECT_EQ(bytes->back(), static_cast<std::byte>(item.index / 2));
              --held;
            }
          }
          wholes.Finish(uses, true);
          return {};
        },
        nullptr);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_LE(most, at_once);
  }
}

TEST(WholeBuffers, UnitsThatFailLetOthersGoOn) {
  WholeBuffers wholes(Wholes({}), kSize);
  for (size_t unit = 0; unit < 2 * kWholes; ++unit) {
    const auto uses = UsesOf(unit);
    wholes.Begin(unit, uses);
    if (!uses[0].writes) {
      EXPECT_EQ(wholes.Take(uses[0].whole).status().code(), ErrorCode::kCancelled);
    }
    wholes.Finish(uses, false);
  }
}

}  // namespace
}  // namespace qstore::store
