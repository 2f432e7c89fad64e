// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/round_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/float_convert.h"
#include "registry/slow_grids.h"

namespace qstore::codec {
namespace {

using Codes = std::vector<uint8_t>;
using Numbers = std::vector<float>;

class RoundKernelsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (kernels_ == nullptr) kernels_ = &kScalarRounding;  // The machine has no such instructions.
  }
  const RoundKernels* kernels_ = RoundingByName(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Isa, RoundKernelsTest, ::testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Numbers of all sizes, the halves between those of grids and their neighbours, and special ones.
Numbers AllKinds() {
  Numbers numbers = {0.0f, 0x1p-126f, 0x1p-149f, 0x1p-125f, 0x1p-124f, 3e38f, kInfinity, kNan};
  for (unsigned code = 0; code < 0x7e; ++code) {
    const double middle =
        (testing::NumberOfE4m3Size(code) + testing::NumberOfE4m3Size(code + 1)) / 2;
    const auto half = static_cast<float>(middle);
    numbers.insert(numbers.end(),
                   {half, std::nextafter(half, 0.0f), std::nextafter(half, kInfinity)});
  }
  for (int k = 0; k < 300; ++k) {
    const float half = static_cast<float>(k) / 4.0f;
    numbers.insert(numbers.end(),
                   {half, std::nextafter(half, 0.0f), std::nextafter(half, kInfinity)});
  }
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0f, 50.0f);
  std::lognormal_distribution<float> wide(0.0f, 30.0f);
  for (int i = 0; i < 2000; ++i) numbers.insert(numbers.end(), {normal(random), wide(random)});
  const size_t count = numbers.size();
  for (size_t i = 0; i < count; ++i) numbers.push_back(-numbers[i]);
  std::shuffle(numbers.begin(), numbers.end(), random);
  return numbers;
}

TEST_P(RoundKernelsTest, GridsFollowTheirDefinitions) {
  const Numbers numbers = AllKinds();
  float steps[kTableSteps];
  for (size_t i = 0; i < kTableSteps; ++i) steps[i] = 0.25f * static_cast<float>(i) - 1.5f;
  for (const size_t count : {numbers.size(), numbers.size() - 1, size_t{17}, size_t{1}}) {
    Codes e4m3(count), e2m1(count), bytes(count), nibbles(count), places(count);
    kernels_->e4m3(numbers.data(), count, e4m3.data());
    kernels_->e2m1(numbers.data(), count, e2m1.data());
    kernels_->integers(numbers.data(), count, -128, 127, bytes.data());
    kernels_->integers(numbers.data(), count, -8, 7, nibbles.data());
    kernels_->steps(numbers.data(), count, steps, places.data());
    for (size_t i = 0; i < count; ++i) {
      const float number = numbers[i];
      ASSERT_EQ(e4m3[i], testing::SlowE4m3(number)) << number;
      ASSERT_EQ(e2m1[i], testing::SlowE2m1(number)) << number;
      ASSERT_EQ(bytes[i], testing::SlowInteger(number, -128, 127)) << number;
      ASSERT_EQ(nibbles[i], testing::SlowInteger(number, -8, 7)) << number;
      ASSERT_EQ(places[i], testing::SlowSteps(number, steps)) << number;
    }
  }
}

TEST_P(RoundKernelsTest, EveryPatternIsWidened) {
  std::vector<uint16_t> patterns(65536);
  for (uint32_t p = 0; p < 65536; ++p) patterns[p] = static_cast<uint16_t>(p);
  const auto* bytes = reinterpret_cast<const uint8_t*>(patterns.data());
  Numbers bf16(65536), fp16(65536);
  kernels_->widen_bf16(bytes, 65536, bf16.data());
  kernels_->widen_fp16(bytes, 65535, fp16.data());
  for (uint32_t p = 0; p < 65535; ++p) {
    const bool is_small = (p & 0x7f80) == 0;
    const uint32_t wanted = is_small ? (p & 0x8000) << 16 : p << 16;
    ASSERT_EQ(std::bit_cast<uint32_t>(bf16[p]), wanted) << p;
    const float half = base::Fp16ToFloat(static_cast<uint16_t>(p));
    ASSERT_EQ(std::bit_cast<uint32_t>(fp16[p]), std::bit_cast<uint32_t>(half)) << p;
  }
}

TEST_P(RoundKernelsTest, RoundsThroughFp16) {
  Numbers numbers = AllKinds();
  const Numbers before = numbers;
  kernels_->through_fp16(numbers.size(), numbers.data());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const float wanted = base::Fp16ToFloat(base::FloatToFp16(before[i]));
    ASSERT_EQ(std::bit_cast<uint32_t>(numbers[i]), std::bit_cast<uint32_t>(wanted)) << before[i];
  }
}

TEST_P(RoundKernelsTest, EveryBf16PatternGoesThroughFp16) {
  std::vector<uint16_t> patterns(65536);
  for (uint32_t p = 0; p < 65536; ++p) patterns[p] = static_cast<uint16_t>(p);
  Numbers numbers(65536), wanted(65536);
  const auto* bytes = reinterpret_cast<const uint8_t*>(patterns.data());
  kernels_->widen_bf16(bytes, numbers.size(), numbers.data());
  for (size_t p = 0; p < 65536; ++p) {
    wanted[p] = base::Fp16ToFloat(base::FloatToFp16(numbers[p]));
  }
  kernels_->bf16_through_fp16(numbers.size(), numbers.data());
  for (size_t p = 0; p < 65536; ++p) {
    ASSERT_EQ(std::bit_cast<uint32_t>(numbers[p]), std::bit_cast<uint32_t>(wanted[p])) << p;
  }
}

TEST_P(RoundKernelsTest, LargestPatternsAreThoseOfRuns) {
  const auto order = [](uint16_t p) { return p >> 15 ? -1 - int{p & 0x7fff} : int{p}; };
  std::mt19937 random(9);
  std::vector<uint16_t> patterns(3000);
  for (auto& pattern : patterns) pattern = static_cast<uint16_t>(random());
  for (const size_t run : {size_t{1}, size_t{16}, size_t{33}, size_t{64}, size_t{1000}}) {
    std::vector<uint32_t> most(patterns.size() / run);
    kernels_->bf16_absmax(reinterpret_cast<const uint8_t*>(patterns.data()), run, most.size(),
                          most.data());
    std::vector<uint16_t> least(most.size()), greatest(most.size());
    kernels_->bf16_extremes(reinterpret_cast<const uint8_t*>(patterns.data()), run, most.size(),
                            least.data(), greatest.data());
    for (size_t r = 0; r < most.size(); ++r) {
      uint32_t wanted = 0;
      int low = INT_MAX, high = INT_MIN;
      for (size_t i = r * run; i < (r + 1) * run; ++i) {
        wanted = std::max<uint32_t>(wanted, patterns[i] & 0x7fff);
        low = std::min(low, order(patterns[i]));
        high = std::max(high, order(patterns[i]));
      }
      ASSERT_EQ(most[r], wanted) << run;
      ASSERT_EQ(order(least[r]), low) << run;
      ASSERT_EQ(order(greatest[r]), high) << run;
    }
  }
}

TEST_P(RoundKernelsTest, ExtremesAreThoseOfRuns) {
  const Numbers numbers = AllKinds();
  for (const size_t run : {size_t{1}, size_t{16}, size_t{31}, size_t{64}, size_t{1000}}) {
    const size_t count = numbers.size() / run;
    std::vector<uint32_t> most(count);
    Numbers least(count), greatest(count);
    kernels_->absmax(numbers.data(), run, count, most.data());
    kernels_->extremes(numbers.data(), run, count, least.data(), greatest.data());
    for (size_t r = 0; r < count; ++r) {
      uint32_t wanted = 0;
      int64_t low = INT64_MAX, high = INT64_MIN;
      const auto order = [](float number) {
        const auto bits = std::bit_cast<uint32_t>(number);
        return bits >> 31 ? -1 - int64_t{bits & 0x7fffffff} : int64_t{bits};
      };
      for (size_t i = r * run; i < (r + 1) * run; ++i) {
        wanted = std::max(wanted, std::bit_cast<uint32_t>(numbers[i]) & 0x7fffffff);
        low = std::min(low, order(numbers[i]));
        high = std::max(high, order(numbers[i]));
      }
      ASSERT_EQ(most[r], wanted) << run;
      ASSERT_EQ(order(least[r]), low) << run;
      ASSERT_EQ(order(greatest[r]), high) << run;
    }
  }
}

TEST_P(RoundKernelsTest, ScalesRunByRun) {
  const Numbers numbers = AllKinds();
  for (const size_t run : {size_t{5}, size_t{16}, size_t{32}, size_t{64}, size_t{999}}) {
    const size_t count = numbers.size() / run;
    Numbers factors(count), zeros(count), out(count * run);
    for (size_t r = 0; r < count; ++r) {
      factors[r] = 0.001f + 0.37f * static_cast<float>(r % 91);
      zeros[r] = static_cast<float>(r % 16) - 8.0f;
    }
    for (const bool multiply : {false, true}) {
      for (const uint8_t rounded : {uint8_t{0}, uint8_t{1}, uint8_t{2}}) {
        for (const bool has_zeros : {false, true}) {
          kernels_->scale(numbers.data(),
                          {run, count, factors.data(), has_zeros ? zeros.data() : nullptr},
                          {multiply, rounded}, out.data());
          const DType type = rounded == 0 ? DType::kF32 : rounded == 1 ? DType::kBF16 : DType::kF16;
          for (size_t i = 0; i < out.size(); ++i) {
            const float factor = factors[i / run];
            float wanted =
                testing::RoundedTo(type, multiply ? numbers[i] * factor : numbers[i] / factor);
            if (has_zeros) wanted = testing::RoundedTo(type, wanted + zeros[i / run]);
            if (std::isnan(wanted)) {
              ASSERT_TRUE(std::isnan(out[i]));
            } else {
              ASSERT_EQ(out[i], wanted) << numbers[i] << " " << factor;
            }
          }
        }
      }
    }
  }
}

TEST_P(RoundKernelsTest, NibblesArePackedEitherWay) {
  Codes codes(510);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i * 7);
  for (const size_t count : {size_t{510}, size_t{128}, size_t{2}}) {
    Codes out(count / 2);
    for (const bool high_first : {false, true}) {
      kernels_->nibbles(codes.data(), count, high_first, 0x88, out.data());
      for (size_t i = 0; i < count; i += 2) {
        const unsigned first = codes[i] & 15, second = codes[i + 1] & 15;
        const unsigned wanted = high_first ? first << 4 | second : first | second << 4;
        ASSERT_EQ(out[i / 2], wanted ^ 0x88) << i;
      }
    }
  }
}

}  // namespace
}  // namespace qstore::codec
