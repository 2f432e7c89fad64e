// SPDX-License-Identifier: Apache-2.0
#include "scheme/repeats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "registry/weights.h"

namespace qstore::scheme {
namespace {

std::vector<std::byte> Noise(size_t count) {
  std::mt19937 random(5);
  std::vector<std::byte> bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

bool Repeats(const std::vector<std::byte>& raw) {
  RepeatScratch scratch;
  return MayRepeat(raw, &scratch);
}

TEST(MayRepeat, WeightsHaveNone) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    EXPECT_FALSE(Repeats(testing::MakePair(dtype, 64, 4096, 3).high)) << DTypeName(dtype);
  }
  EXPECT_FALSE(Repeats(Noise(1 << 20)));
}

TEST(MayRepeat, FarOnesAreSeen) {
  // Twice the same, then again at an odd distance, then mostly the same.
  const std::vector<std::byte> once = Noise(200'000);
  std::vector<std::byte> content = once;
  content.insert(content.end(), once.begin(), once.end());
  EXPECT_TRUE(Repeats(content));
  content = once;
  content.resize(content.size() + 2 * 377);
  content.insert(content.end(), once.begin(), once.end());
  EXPECT_TRUE(Repeats(content));
  content = once;
  content.resize(2 * once.size() * 3 / 4);
  std::copy_n(once.begin(), once.size() / 2, content.begin() + static_cast<ptrdiff_t>(once.size()));
  EXPECT_TRUE(Repeats(content));
}

TEST(MayRepeat, FewValuesAreSeen) {
  for (const int value : {0, 1, 0x3f, 0xff}) {
    EXPECT_TRUE(Repeats(std::vector<std::byte>(1 << 18, static_cast<std::byte>(value)))) << value;
  }
}

TEST(MayRepeat, ShortContentHasNone) {
  for (size_t size = 0; size < 200; ++size) EXPECT_FALSE(Repeats(Noise(size))) << size;
}

}  // namespace
}  // namespace qstore::scheme
