// SPDX-License-Identifier: Apache-2.0
#include "base/float_mode.h"

#include <gtest/gtest.h>

#include <limits>

namespace qstore::base {
namespace {

#if defined(__x86_64__)

float Halved(float value) {
  volatile float seen = value;
  return seen / 2;
}

TEST(FloatMode, SubnormalsStayWhateverTheHostHasSet) {
  constexpr unsigned kFlush = 0x8000;
  constexpr unsigned kSubnormalsAreZero = 0x0040;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlush | kSubnormalsAreZero);
  const float flushed = Halved(std::numeric_limits<float>::min());
  float kept = 0;
  {
    const FloatMode ieee;
    kept = Halved(std::numeric_limits<float>::min());
  }
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(flushed, 0.0f);
  EXPECT_EQ(kept, std::numeric_limits<float>::min() / 2);
  EXPECT_EQ(after & (kFlush | kSubnormalsAreZero), kFlush | kSubnormalsAreZero);
}

#endif

}  // namespace
}  // namespace qstore::base
