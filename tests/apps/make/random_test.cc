// SPDX-License-Identifier: Apache-2.0
#include "make/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "make/philox.h"

namespace qstore::make {
namespace {

// The known answers that the authors of Philox publish with their library.
TEST(Philox, KnownAnswers) {
  const struct {
    std::array<uint32_t, 4> counter;
    PhiloxKey key;
    std::array<uint32_t, 4> answer;
  } kCases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& c : kCases) {
    PhiloxBatch<2> batch;
    for (size_t w = 0; w < 4; ++w) batch.word[w] = {0, c.counter[w]};
    batch.Encrypt(c.key);
    for (size_t w = 0; w < 4; ++w) EXPECT_EQ(batch.word[w][1], c.answer[w]);
  }
}

struct Moments {
  double mean = 0, variance = 0, kurtosis = 0, beyond3 = 0, largest = 0;
};
Moments MomentsOf(const std::vector<float>& values) {
  Moments m;
  const auto n = static_cast<double>(values.size());
  for (const float v : values) m.mean += v / n;
  for (const float v : values) {
    m.variance += v * v / n;
    m.kurtosis += std::pow(v, 4) / n;
    m.beyond3 += (std::fabs(v) > 3) / n;
    m.largest = std::max(m.largest, std::fabs(double{v}));
  }
  return m;
}

TEST(Random, NormalHasTheMomentsAndTailsOfANormal) {
  std::vector<float> values(1 << 22);
  FillNormal({1, 2, 3, 4}, 0, values);
  const Moments m = MomentsOf(values);
  EXPECT_NEAR(m.mean, 0, 0.002);
  EXPECT_NEAR(m.variance, 1, 0.003);
  EXPECT_NEAR(m.kurtosis, 3, 0.02);
  EXPECT_NEAR(m.beyond3, 0.0026998, 0.0001);
  EXPECT_GT(m.largest, 4.6);
  EXPECT_LT(m.largest, 6.7);
}

TEST(Random, NormalFollowsItsDefinition) {
  std::vector<uint32_t> words(kBlock);
  std::vector<float> values(kBlock);
  const Stream stream{42, 0, 1, 7};
  FillUniform(stream, 5 * kBlock, words);
  FillNormal(stream, 5 * kBlock, values);
  constexpr size_t kQuarter = kBlock / 4;
  for (size_t i = 0; i < kBlock; ++i) {
    const size_t pair = i / (2 * kQuarter) * 2 * kQuarter + i % kQuarter;
    const double u = (static_cast<double>(words[pair] >> 1) + 0.5) * 0x1p-31;
    const double angle = 2 * M_PI * static_cast<double>(words[pair + kQuarter]) * 0x1p-32;
    const double direction = i / kQuarter % 2 == 0 ? std::cos(angle) : std::sin(angle);
    EXPECT_NEAR(values[i], std::sqrt(-2 * std::log(u)) * direction, 2e-6);
  }
}

TEST(Random, StudentTHasHeavierTails) {
  std::vector<float> values(1 << 20);
  FillStudentT({1, 2, 3, 4}, 5.0, 0, values);
  const Moments m = MomentsOf(values);
  EXPECT_NEAR(m.variance, 5.0 / 3, 0.05);
  EXPECT_NEAR(m.beyond3, 0.0301, 0.001);
  EXPECT_GT(m.largest, 10);
}

TEST(Random, APartIsTheSameAsThePartOfTheWhole) {
  std::vector<float> whole(5 * kBlock + 3);
  FillNormal({9, 8, 7, 6}, 0, whole);
  std::vector<float> part(kBlock + 3);
  FillNormal({9, 8, 7, 6}, 4 * kBlock, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 4 * kBlock));
}

TEST(Random, StreamsDiffer) {
  const Stream kStreams[] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {uint64_t{1} << 32, 0, 0, 0},
                             {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
  std::vector<uint32_t> first;
  for (const Stream& stream : kStreams) {
    std::vector<uint32_t> words(1);
    FillUniform(stream, 0, words);
    for (const uint32_t other : first) EXPECT_NE(words[0], other);
    first.push_back(words[0]);
  }
}

TEST(Random, ExpIsCloseToTheLibrarys) {
  for (double x = -30; x < 30; x += 0.0137) {
    EXPECT_NEAR(PortableExp(x) / std::exp(x), 1, 1e-14) << x;
  }
  EXPECT_EQ(PortableExp(0), 1.0);
}

}  // namespace
}  // namespace qstore::make
