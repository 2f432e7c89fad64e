// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <new>

namespace qstore::testing {

/// While it exists, operator new refuses this thread its `k`-th piece of memory from 0, and with
/// `stays` all later ones.
class RefusedMemory {
 public:
  RefusedMemory(long k, bool stays);
  ~RefusedMemory();
  RefusedMemory(const RefusedMemory&) = delete;
  RefusedMemory& operator=(const RefusedMemory&) = delete;
  /// Whether anything was refused.
  static bool struck();
};

/// Calls `act` with its first, second, … piece of memory refused, alone and with all later ones,
/// until it needs no more; it says whether it has done all. After each call `check` is told.
template <class Act, class Check>
void RefuseEach(const Act& act, const Check& check) {
  for (const bool stays : {false, true}) {
    bool struck = true;
    for (long k = 0; struck; ++k) {
      bool done = false;
      try {
        const RefusedMemory refused(k, stays);
        done = act();
      } catch (const std::bad_alloc&) {
      }
      struck = RefusedMemory::struck();
      EXPECT_TRUE(done || struck);
      check(done);
      if (::testing::Test::HasFailure()) FAIL() << "piece " << k << (stays ? " and later" : "");
    }
  }
}

}  // namespace qstore::testing
