// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "codec/floating.h"
#include "codec/huffman.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

using Bytes = std::vector<std::byte>;

Bytes RandomBytes(size_t count, uint32_t seed, unsigned limit = 256) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random() % limit);
  return bytes;
}

Bytes SkewedBytes(size_t count, uint32_t seed, double p) {
  std::mt19937 random(seed);
  std::geometric_distribution<int> geometric(p);
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(std::min(geometric(random), 255));
  return bytes;
}

std::span<const uint8_t> AsSymbols(const Bytes& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

constexpr Effort kEfforts[] = {Effort::kHuffman, Effort::kRuns, Effort::kRans};

// Codes and decodes a plane; returns its coded size.
size_t RoundTripPlane(const Bytes& symbols, Effort effort) {
  Bytes coded;
  EncodePlane(AsSymbols(symbols), effort, &coded);
  const size_t size = coded.size();
  coded.resize(size + kReadSlack);
  base::ByteReader reader(coded);
  std::vector<uint8_t> scratch(symbols.size() + kPlaneSlack);
  auto decoded = DecodePlane(&reader, symbols.size(), scratch.data());
  EXPECT_TRUE(decoded.ok()) << decoded.status().ToString();
  if (decoded.ok()) {
    EXPECT_EQ(std::memcmp(*decoded, symbols.data(), symbols.size()), 0);
  }
  EXPECT_EQ(reader.remaining(), kReadSlack);
  return size;
}

TEST(Plane, EveryLengthAroundARoundComesBack) {
  for (size_t count : {1, 2, 3, 127, 128, 129, 2047, 2048, 2049, 2175, 4096, 10001}) {
    for (Effort effort : kEfforts) {
      for (double p : {0.9, 0.2, 0.02}) RoundTripPlane(SkewedBytes(count, 7, p), effort);
      RoundTripPlane(RandomBytes(count, 3), effort);
      RoundTripPlane(RandomBytes(count, 4, 5), effort);
    }
  }
}

TEST(Plane, SizesFollowTheContent) {
  EXPECT_EQ(RoundTripPlane(Bytes(50000, std::byte{9}), Effort::kHuffman), 2u);
  EXPECT_EQ(RoundTripPlane(RandomBytes(50000, 1), Effort::kHuffman), 50002u);
  EXPECT_EQ(RoundTripPlane(RandomBytes(50000, 1, 16), Effort::kHuffman), 25002u);
  Bytes sparse(50000);
  sparse[7] = sparse[49999] = std::byte{200};
  EXPECT_LT(RoundTripPlane(sparse, Effort::kHuffman), 16u);
  const Bytes skewed = SkewedBytes(1 << 18, 5, 0.2);
  Histogram counts{};
  CountBytes(AsSymbols(skewed).data(), skewed.size(), &counts);
  EXPECT_LT(static_cast<double>(RoundTripPlane(skewed, Effort::kHuffman)),
            EntropyBits(counts) / 8 * 1.015);
  EXPECT_LT(static_cast<double>(RoundTripPlane(skewed, Effort::kRans)),
            EntropyBits(counts) / 8 * 1.005);
}

TEST(Huffman, CountsAreRightHoweverFewSymbolsThereAre) {
  std::mt19937 random(2);
  for (const unsigned symbols : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 256u}) {
    for (const size_t count : {0u, 1u, 4095u, 4096u, 4097u, 30000u}) {
      std::vector<uint8_t> bytes(count);
      Histogram expected{};
      for (auto& byte : bytes) ++expected[byte = static_cast<uint8_t>(random() % symbols)];
      Histogram counts;
      counts.fill(7);
      CountBytes(bytes.data(), count, &counts);
      ASSERT_EQ(counts, expected) << symbols << " " << count;
    }
  }
}

TEST(Huffman, LengthsAreCompleteWhateverTheCounts) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Histogram counts{};
    const unsigned used = 2 + static_cast<unsigned>(random() % 255);
    for (unsigned i = 0; i < used; ++i) counts[random() % 256] += 1u << (random() % 24);
    counts[0] += 1;
    counts[255] += 1;
    EXPECT_TRUE(IsCompleteCode(MakeCodeLengths(counts)));
  }
}

TEST(Int8, EveryLengthComesBack) {
  PlaneScratch scratch;
  for (size_t count = 0; count < 300; ++count) {
    const Bytes raw = RandomBytes(count, static_cast<uint32_t>(count));
    Bytes coded;
    EncodeInt8(count % 2 == 0 ? Effort::kHuffman : Effort::kRans, raw, &scratch, &coded);
    coded.resize(coded.size() + kReadSlack);
    Bytes out(count);
    base::ByteReader reader(coded);
    ASSERT_TRUE(DecodeInt8(&reader, &scratch, out).ok());
    ASSERT_EQ(out, raw);
  }
}

void RoundTripFloats(DType dtype, Effort effort, const Bytes& raw) {
  PlaneScratch scratch;
  Bytes coded;
  EncodeFloats(dtype, effort, raw, &scratch, &coded);
  coded.resize(coded.size() + kReadSlack);
  // One byte off any alignment, as tensors in files are.
  Bytes out(raw.size() + 1);
  base::ByteReader reader(coded);
  const Status status = DecodeFloats(dtype, &reader, &scratch, std::span(out).subspan(1));
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(std::equal(raw.begin(), raw.end(), out.begin() + 1));
}

TEST(Floats, EveryPatternComesBack) {
  Bytes all;
  for (uint32_t p = 0; p < 65536; ++p) {
    all.push_back(static_cast<std::byte>(p & 255));
    all.push_back(static_cast<std::byte>(p >> 8));
  }
  for (Effort effort : kEfforts) {
    RoundTripFloats(DType::kBF16, effort, all);
    RoundTripFloats(DType::kF16, effort, all);
    RoundTripFloats(DType::kF32, effort, RandomBytes(40000, 8));
    for (size_t count = 0; count < 40; ++count) {
      for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
        RoundTripFloats(dtype, effort, RandomBytes(count * 4, 9));
        RoundTripFloats(dtype, effort, Bytes(count * 4));
      }
    }
  }
}

TEST(BytePlanes, EveryElementSizeComesBack) {
  PlaneScratch scratch;
  for (unsigned elem : {1u, 2u, 4u, 8u}) {
    const Bytes raw = SkewedBytes(elem * 3001, elem, 0.1);
    Bytes coded;
    EncodeBytePlanes(elem, Effort::kHuffman, raw, &scratch, &coded);
    coded.resize(coded.size() + kReadSlack);
    Bytes out(raw.size());
    base::ByteReader reader(coded);
    ASSERT_TRUE(DecodeBytePlanes(elem, &reader, &scratch, out).ok());
    EXPECT_EQ(out, raw);
  }
}

}  // namespace
}  // namespace qstore::codec
