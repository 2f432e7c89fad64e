// SPDX-License-Identifier: Apache-2.0
#include "store/parent_sightings.h"

#include <gtest/gtest.h>

namespace qstore::store {
namespace {

TEST(ParentSightings, WhatIsSeenAfterItWasCodedIsComparedAtOnce) {
  ParentSightings sightings;
  sightings.Resize(2);
  sightings.Coded(1, 11);
  EXPECT_TRUE(sightings.Seen({0, 1, 11}));
  EXPECT_FALSE(sightings.Seen({0, 1, 12}));
  EXPECT_FALSE(sightings.FirstWrong().has_value());
}

TEST(ParentSightings, WhatIsSeenBeforeItIsCodedIsKept) {
  ParentSightings sightings;
  sightings.Resize(3);
  EXPECT_TRUE(sightings.Seen({5, 0, 10}));
  EXPECT_TRUE(sightings.Seen({6, 1, 99}));
  EXPECT_TRUE(sightings.Seen({7, 2, 98}));
  sightings.Coded(0, 10);
  sightings.Coded(1, 11);
  sightings.Coded(2, 12);
  const auto wrong = sightings.FirstWrong();
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->object, 6u);
  EXPECT_EQ(wrong->chunk, 1u);
}

}  // namespace
}  // namespace qstore::store
