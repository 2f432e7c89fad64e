// SPDX-License-Identifier: Apache-2.0
#include "base/name_slots.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qstore::base {
namespace {

TEST(NameSlots, FindsTheRowThatWasSet) {
  std::vector<std::string> names = {""};
  for (int i = 0; i < 1000; ++i) names.push_back("layers." + std::to_string(i) + ".weight");
  const auto name_of = [&](size_t row) -> std::string_view { return names[row]; };
  NameSlots slots;
  EXPECT_EQ(slots.Find("", name_of), NameSlots::kNone);
  slots.Reset(names.size());
  for (uint32_t row = 0; row < names.size(); ++row) {
    EXPECT_EQ(slots.Find(names[row], name_of), NameSlots::kNone);
    uint32_t& slot = slots.Slot(names[row], name_of);
    EXPECT_EQ(slot, NameSlots::kNone);
    slot = row;
  }
  for (uint32_t row = 0; row < names.size(); ++row) {
    EXPECT_EQ(slots.Find(names[row], name_of), row);
    EXPECT_EQ(slots.Slot(names[row], name_of), row);
    EXPECT_EQ(slots.Find(names[row] + "x", name_of), NameSlots::kNone);
  }
  slots.Reset(1);
  EXPECT_EQ(slots.Find(names[1], name_of), NameSlots::kNone);
}

}  // namespace
}  // namespace qstore::base
