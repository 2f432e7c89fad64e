// SPDX-License-Identifier: Apache-2.0
#include "codec/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/isa.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/row_kernels.h"
#include "registry/weights.h"

namespace qstore::codec {
namespace {

using Bytes = std::vector<std::byte>;
using testing::AppendPattern;

constexpr DType kTypes[] = {DType::kI8, DType::kF16, DType::kBF16, DType::kF32};
constexpr size_t kNoLimit = std::numeric_limits<size_t>::max() / 16;

void Append(DType dtype, float value, Bytes* out) {
  if (dtype != DType::kI8) return AppendPattern(dtype, value * 0.001f, out);
  const auto q = static_cast<int8_t>(std::lround(std::clamp(value, -127.0f, 127.0f)));
  out->push_back(static_cast<std::byte>(q));
}

// Rows that are sums of few directions and a little noise, of standard deviation 30.
Bytes Related(DType dtype, const RowShape& shape, size_t directions, float noise) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> basis(directions * shape.columns);
  for (float& b : basis) b = 30 * normal(random) / std::sqrt(static_cast<float>(directions));
  Bytes out;
  for (size_t r = 0; r < shape.rows; ++r) {
    std::vector<float> row(shape.columns);
    for (float& v : row) v = noise * normal(random);
    for (size_t d = 0; d < directions; ++d) {
      const float part = normal(random);
      for (size_t c = 0; c < shape.columns; ++c) row[c] += part * basis[d * shape.columns + c];
    }
    for (const float v : row) Append(dtype, v, &out);
  }
  return out;
}

struct Coder {
  PlaneScratch planes;
  RowScratch rows;

  bool Encode(DType dtype, const RowShape& shape, const Bytes& raw, Bytes* out,
              size_t limit = kNoLimit) {
    return EncodeRows(dtype, shape, limit, raw, &planes, &rows, out);
  }
  Status Decode(DType dtype, const RowShape& shape, Bytes coded, Bytes* raw) {
    coded.resize(coded.size() + kReadSlack);
    base::ByteReader reader(coded);
    const Status status = DecodeRows(dtype, shape, &reader, &planes, &rows, *raw);
    EXPECT_TRUE(!status.ok() || reader.remaining() == kReadSlack);
    return status;
  }
};

// Returns the bytes it takes.
double RoundTrip(DType dtype, const RowShape& shape, const Bytes& raw) {
  Coder coder;
  Bytes coded;
  EXPECT_TRUE(coder.Encode(dtype, shape, raw, &coded));
  Bytes back(raw.size());
  const Status status = Coder().Decode(dtype, shape, coded, &back);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(back == raw);
  return static_cast<double>(coded.size());
}

TEST(Rows, EveryShapeComesBack) {
  for (const RowShape shape :
       {RowShape{8, 8}, {9, 31}, {300, 17}, {17, 300}, {20, 1100}, {514, 513}, {4000, 8}}) {
    for (const DType dtype : kTypes) RoundTrip(dtype, shape, Related(dtype, shape, 4, 5));
  }
}

TEST(Rows, WhatFollowsFromFewDirectionsTakesLittle) {
  const RowShape shape{1500, 96};
  for (const DType dtype : kTypes) {
    const auto count = static_cast<double>(shape.rows * shape.columns);
    const double bits = 8.0 * RoundTrip(dtype, shape, Related(dtype, shape, 8, 1)) / count;
    const double alone = 8.0 * RoundTrip(dtype, shape, Related(dtype, shape, 1000, 0)) / count;
    // Deviations of 30 and, but for 8 of 96 directions, 1 (floats: as seen through 3 bits of
    // their mantissa, hence more).
    EXPECT_LT(bits, alone - (dtype == DType::kI8 ? 3.9 : 2.8)) << static_cast<int>(dtype);
  }
  // The entropy of a normal distribution with deviation 30, in steps of 1: 6.95 bits.
  const Bytes noise = Related(DType::kI8, shape, 1000, 0);
  EXPECT_NEAR(8.0 * RoundTrip(DType::kI8, shape, noise) / (1500 * 96), 6.95, 0.08);
}

TEST(Rows, OddContentComesBack) {
  const RowShape shape{32, 40};
  std::mt19937 random(2);
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    Bytes raw = Related(dtype, shape, 3, 1);
    const size_t size = DTypeBits(dtype) / 8;
    // Zeros of both signs, subnormals, and the largest there are.
    for (size_t at = 0; at < raw.size(); at += 7 * size) {
      std::fill_n(raw.begin() + static_cast<ptrdiff_t>(at), size, std::byte{0});
      raw[at] = static_cast<std::byte>(random() % 2);
      if (random() % 2 == 0) raw[at + size - 1] = std::byte{0x80};
    }
    RoundTrip(dtype, shape, raw);
    for (float v : {3e38f, -3e38f}) {
      Bytes huge;
      AppendPattern(dtype, dtype == DType::kF16 ? v * 1e-34f : v, &huge);
      std::copy(huge.begin(), huge.end(), raw.begin() + static_cast<ptrdiff_t>(11 * size));
      RoundTrip(dtype, {32, 40}, raw);
    }
  }
  for (const std::byte b : {std::byte{0}, std::byte{0x80}, std::byte{0x7f}}) {
    RoundTrip(DType::kI8, shape, Bytes(32 * 40, b));
  }
  Bytes noise(32 * 40);
  for (auto& b : noise) b = static_cast<std::byte>(random());
  RoundTrip(DType::kI8, shape, noise);
}

TEST(Rows, NotANumberIsLeftToOtherCodecs) {
  Bytes raw = Related(DType::kBF16, {16, 16}, 2, 1);
  raw[100] = std::byte{0x81};
  raw[101] = std::byte{0x7f};
  Bytes out(3);
  Coder coder;
  EXPECT_FALSE(coder.Encode(DType::kBF16, {16, 16}, raw, &out));
  EXPECT_EQ(out.size(), 3u);
}

TEST(Rows, WhatExceedsTheLimitIsNotAppended) {
  const RowShape shape{200, 64};
  const Bytes raw = Related(DType::kF16, shape, 1000, 0);
  const auto size = static_cast<size_t>(RoundTrip(DType::kF16, shape, raw));
  Coder coder;
  Bytes out(3);
  EXPECT_FALSE(coder.Encode(DType::kF16, shape, raw, &out, size / 2));
  EXPECT_EQ(out.size(), 3u);
  EXPECT_TRUE(coder.Encode(DType::kF16, shape, raw, &out, size + 64));
  EXPECT_EQ(out.size(), size + 3);
}

TEST(Rows, DamageIsAnErrorOrOtherContent) {
  const RowShape shape{40, 24};
  std::mt19937 random(9);
  for (const DType dtype : kTypes) {
    const Bytes raw = Related(dtype, shape, 3, 2);
    Coder coder;
    Bytes coded;
    ASSERT_TRUE(coder.Encode(dtype, shape, raw, &coded));
    Bytes back(raw.size());
    int unseen = 0;
    for (int round = 0; round < 400; ++round) {
      Bytes damaged = coded;
      // Most of all the parameters, which come first.
      const size_t within = round % 2 == 0 ? damaged.size() : 100;
      damaged[random() % within] ^= static_cast<std::byte>(1 + random() % 255);
      const Status status = coder.Decode(dtype, shape, damaged, &back);
      unseen += status.ok() && back == raw ? 1 : 0;
    }
    // Bits that fill up the last byte of a plane mean nothing.
    EXPECT_LE(unseen, 4);
    for (size_t size = 0; size < coded.size(); size += 1 + coded.size() / 150) {
      Bytes cut = coded;
      cut.resize(size);
      EXPECT_FALSE(coder.Decode(dtype, shape, cut, &back).ok());
    }
    EXPECT_TRUE(coder.Decode(dtype, shape, coded, &back).ok());
    EXPECT_EQ(back, raw);
  }
}

TEST(RowKernels, AllAreEqualToScalar) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr size_t kStride = 48;
  for (const base::Isa isa : {base::Isa::kAvx2, base::Isa::kAvx512}) {
    if (!base::HasIsa(isa)) continue;
    const RowKernels& kernels = RowKernelsFor(isa);
    for (size_t n = 0; n <= kStride; ++n) {
      std::vector<float> columns(kRowColumns * kStride);
      std::vector<float> values(kStride), factors(kRowColumns), gains(kRowColumns);
      for (auto* of : {&columns, &values, &factors, &gains}) {
        for (float& v : *of) v = normal(random);
      }
      std::vector<float> sums = values, expected_sums = values;
      kernels.add(columns.data(), kStride, factors.data(), n, sums.data());
      kScalarRows.add(columns.data(), kStride, factors.data(), n, expected_sums.data());
      EXPECT_EQ(sums, expected_sums) << static_cast<int>(isa) << " " << n;
      std::vector<float> expected_columns = columns, expected_values = values;
      kernels.revise(factors.data(), gains.data(), kStride, n, columns.data(), values.data());
      kScalarRows.revise(factors.data(), gains.data(), kStride, n, expected_columns.data(),
                         expected_values.data());
      EXPECT_EQ(columns, expected_columns) << static_cast<int>(isa) << " " << n;
      EXPECT_EQ(values, expected_values) << static_cast<int>(isa) << " " << n;
    }
  }
}

}  // namespace
}  // namespace qstore::codec
