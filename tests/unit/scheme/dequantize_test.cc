// SPDX-License-Identifier: Apache-2.0
#include "qstore/dequantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/float_convert.h"

namespace qstore {
namespace {

// Blocks of Q8_0: a scale in F16, and signed bytes.
std::vector<std::byte> Q8Blocks(size_t count) {
  std::vector<std::byte> content(count * 34);
  for (size_t i = 0; i < count; ++i) {
    const auto scale = static_cast<uint16_t>(0x2000 + i % 1000);
    std::memcpy(content.data() + i * 34, &scale, 2);
    for (size_t w = 0; w < 32; ++w) {
      content[i * 34 + 2 + w] = static_cast<std::byte>((i + 7 * w) & 0xFF);
    }
  }
  return content;
}

TEST(Dequantize, PiecesOfManyThreads) {
  const size_t count = 2000;
  const std::vector<std::byte> content = Q8Blocks(count);
  for (const unsigned threads : {1U, 0U, 5U}) {
    std::vector<float> weights(count * 32, -1);
    ASSERT_TRUE(Dequantize(DType::kQ8_0, content, weights, threads).ok());
    for (size_t i = 0; i < weights.size(); ++i) {
      const float scale = base::Fp16ToFloat(static_cast<uint16_t>(0x2000 + i / 32 % 1000));
      const auto code = static_cast<int8_t>((i / 32 + 7 * (i % 32)) & 0xFF);
      ASSERT_EQ(weights[i], scale * static_cast<float>(code)) << i;
    }
  }
}

TEST(Dequantize, NothingAndScalars) {
  EXPECT_TRUE(Dequantize(DType::kQ4K, {}, {}).ok());
  const float one = 1.5f;
  float out = 0;
  EXPECT_TRUE(Dequantize(DType::kF32, std::as_bytes(std::span(&one, 1)), {&out, 1}).ok());
  EXPECT_EQ(out, 1.5f);
}

TEST(Dequantize, RefusesWhatDoesNotFit) {
  std::vector<float> weights(64);
  const std::vector<std::byte> content = Q8Blocks(2);
  const auto refused = [&](DType dtype, size_t bytes, size_t count) {
    const Status status =
        Dequantize(dtype, std::span(content).first(bytes), std::span(weights).first(count));
    EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument) << status.ToString();
    EXPECT_NE(status.message().find(DTypeName(dtype)), std::string::npos) << status.ToString();
  };
  refused(DType::kQ8_0, 34, 64);
  refused(DType::kQ8_0, 68, 32);
  refused(DType::kQ8_0, 67, 64);
  refused(DType::kQ8_0, 34, 31);
  refused(DType::kF16, 63, 32);
  refused(DType::kI8, 64, 64);
  refused(DType::kIq1S, 50, 0);
  refused(DType::kF4, 16, 32);
}

TEST(Dequantize, KnowsTheTypesWithNumbers) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ5_1,
                            DType::kQ2K, DType::kQ6K, DType::kIq4Xs, DType::kMxfp4}) {
    EXPECT_TRUE(CanDequantize(dtype)) << DTypeName(dtype);
  }
  for (const DType dtype : {DType::kI8, DType::kF64, DType::kIq2Xxs, DType::kIq1M}) {
    EXPECT_FALSE(CanDequantize(dtype)) << DTypeName(dtype);
  }
}

}  // namespace
}  // namespace qstore
