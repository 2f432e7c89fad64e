// SPDX-License-Identifier: Apache-2.0
#include "make/convert.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/float_convert.h"

namespace qstore::make {
namespace {

template <class T>
std::vector<uint16_t> Converted(DType from, const std::vector<T>& values, DType to) {
  std::vector<uint16_t> out(values.size());
  ConvertFloats(from, std::as_bytes(std::span(values)), to, std::as_writable_bytes(std::span(out)));
  return out;
}

TEST(Convert, EveryPairOfTypes) {
  const std::vector<float> f32 = {0.1f, -0.0f, 65520.0f, 1e-7f, INFINITY, 0x1.01p0f, 3.0f, -7e-5f};
  std::vector<double> f64(f32.begin(), f32.end());
  std::vector<uint16_t> as_bf16, as_fp16, bf16_as_fp16, fp16_as_bf16;
  for (const float v : f32) {
    as_bf16.push_back(base::FloatToBf16(v));
    as_fp16.push_back(base::FloatToFp16(v));
    bf16_as_fp16.push_back(base::FloatToFp16(base::Bf16ToFloat(as_bf16.back())));
    fp16_as_bf16.push_back(base::FloatToBf16(base::Fp16ToFloat(as_fp16.back())));
  }
  EXPECT_EQ(Converted(DType::kF32, f32, DType::kBF16), as_bf16);
  EXPECT_EQ(Converted(DType::kF32, f32, DType::kF16), as_fp16);
  EXPECT_EQ(Converted(DType::kF64, f64, DType::kBF16), as_bf16);
  EXPECT_EQ(Converted(DType::kF64, f64, DType::kF16), as_fp16);
  EXPECT_EQ(Converted(DType::kBF16, as_bf16, DType::kF16), bf16_as_fp16);
  EXPECT_EQ(Converted(DType::kF16, as_fp16, DType::kBF16), fp16_as_bf16);
  EXPECT_EQ(Converted(DType::kBF16, as_bf16, DType::kBF16), as_bf16);
  EXPECT_EQ(Converted(DType::kF16, as_fp16, DType::kF16), as_fp16);
}

TEST(Convert, F64GoesByWayOfF32) {
  // Just above the middle of two BF16 numbers, but the middle itself as F32.
  const std::vector<double> value = {0x1.01p0 + 0x1p-40};
  EXPECT_EQ(Converted(DType::kF64, value, DType::kBF16), std::vector<uint16_t>{0x3f80});
}

TEST(Convert, InputNeedsNoAlignment) {
  std::vector<std::byte> bytes(1 + 4 * 3);
  const float values[] = {1.0f, 2.0f, -4.0f};
  std::memcpy(bytes.data() + 1, values, sizeof(values));
  std::vector<uint16_t> out(3);
  ConvertFloats(DType::kF32, std::span(bytes).subspan(1), DType::kBF16,
                std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, (std::vector<uint16_t>{0x3f80, 0x4000, 0xc080}));
}

TEST(LlmInt8, LargestMagnitude) {
  EXPECT_EQ(LargestMagnitude({}), 0);
  EXPECT_EQ(LargestMagnitude(std::vector<uint16_t>{0x8000, 0x0001, 0xbc00, 0x3bff}), 0x3c00);
  EXPECT_EQ(LargestMagnitude(std::vector<uint16_t>{0x7bff, 0xfc00}), 0x7c00);
  EXPECT_GT(LargestMagnitude(std::vector<uint16_t>{0xfe01}), 0x7c00);
}

// All F16 magnitudes up to several maxima, against the rule written with the library's rounding.
TEST(LlmInt8, FollowsTheRuleForEveryWeight) {
  ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  for (const uint16_t largest :
       std::initializer_list<uint16_t>{0x0001, 0x0350, 0x2a66, 0x3000, 0x3401, 0x3c00, 0x7bff}) {
    const float absmax = base::Fp16ToFloat(largest);
    std::vector<uint16_t> row;
    for (unsigned bits = 0; bits <= largest; ++bits) {
      row.push_back(static_cast<uint16_t>(bits));
      row.push_back(static_cast<uint16_t>(bits | 0x8000));
    }
    std::vector<int8_t> q(row.size());
    QuantizeToInt8(row, absmax, q);
    const volatile float reciprocal = 1.0f / absmax;
    const volatile float scale = reciprocal * 127.0f;
    for (size_t i = 0; i < row.size(); ++i) {
      const volatile float scaled = base::Fp16ToFloat(row[i]) * scale;
      ASSERT_EQ(q[i], std::nearbyint(scaled)) << row[i] << " of " << largest;
    }
    EXPECT_EQ(q[q.size() - 2], 127);
    EXPECT_EQ(q.back(), -127);
  }
}

TEST(LlmInt8, ARowOfZerosStaysZero) {
  std::vector<int8_t> q(2, 5);
  QuantizeToInt8(std::vector<uint16_t>{0, 0x8000}, 0.0f, q);
  EXPECT_EQ(q, (std::vector<int8_t>{0, 0}));
}

}  // namespace
}  // namespace qstore::make
