// SPDX-License-Identifier: Apache-2.0
#include "store/unit_streams.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qstore::store {
namespace {

using Order = std::vector<size_t>;

std::vector<bool> Anywhere(size_t count) { return std::vector<bool>(count, true); }

TEST(UnitStreams, TakesAUnitOfEachStreamInTurn) {
  EXPECT_EQ(StreamOrder(Anywhere(7), 2), (Order{0, 3, 1, 4, 2, 5, 6}));
  EXPECT_EQ(StreamOrder(Anywhere(6), 3), (Order{0, 2, 4, 1, 3, 5}));
}

TEST(UnitStreams, OneStreamIsTheOrderOfUnits) {
  EXPECT_EQ(StreamOrder(Anywhere(4), 1), (Order{0, 1, 2, 3}));
  EXPECT_EQ(StreamOrder({}, 4), Order());
}

TEST(UnitStreams, MoreStreamsThanUnitsAreOneForEach) {
  EXPECT_EQ(StreamOrder(Anywhere(3), SIZE_MAX), (Order{0, 1, 2}));
}

TEST(UnitStreams, BeginsStreamsOnlyWhereNothingIsUnderWay) {
  EXPECT_EQ(StreamOrder({true, false, false, false, true, false}, 2), (Order{0, 4, 1, 5, 2, 3}));
  EXPECT_EQ(StreamOrder({true, false, false, false}, 4), (Order{0, 1, 2, 3}));
}

TEST(UnitStreams, EveryUnitComesOnceAndAfterThoseOfItsStream) {
  for (size_t count = 0; count < 40; ++count) {
    for (size_t streams = 1; streams < 50; ++streams) {
      std::vector<bool> may_begin(count);
      for (size_t u = 0; u < count; ++u) may_begin[u] = u == 0 || (u * 7 + streams) % 3 == 0;
      const Order order = StreamOrder(may_begin, streams);
      Order place(count);
      for (size_t at = 0; at < order.size(); ++at) place[order[at]] = at;
      Order sorted = order;
      std::sort(sorted.begin(), sorted.end());
      ASSERT_EQ(sorted.size(), count);
      for (size_t u = 0; u < count; ++u) {
        ASSERT_EQ(sorted[u], u);
        if (may_begin[u]) continue;
        EXPECT_LT(place[u - 1], place[u]) << u << " of " << count;
      }
    }
  }
}

}  // namespace
}  // namespace qstore::store
