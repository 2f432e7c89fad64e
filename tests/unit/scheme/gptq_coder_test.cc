// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_coder.h"

#include <gtest/gtest.h>

#include <random>

#include "codec/kernels/kernels.h"
#include "registry/gptq.h"
#include "registry/weights.h"

namespace qstore::scheme {
namespace {

using testing::GptqParts;
using testing::MakeGptq;
using Bytes = std::vector<std::byte>;

struct Model {
  uint64_t inputs, outputs;
  std::vector<float> values;
  Bytes high;
};

Model MakeModel(DType dtype, uint64_t inputs, uint64_t outputs, uint32_t seed) {
  Model model{inputs, outputs, {}, testing::MakePair(dtype, outputs, inputs, seed).high};
  for (uint64_t i = 0; i < inputs * outputs; ++i) {
    model.values.push_back(testing::PatternValue(dtype, model.high.data() + 2 * i));
  }
  return model;
}

// Codes and decodes rows from `first` on; returns the bits of a weight.
double FloatBits(DType dtype, const Bytes& high, const GptqParts& parts, uint64_t first = 0) {
  GptqScratch scratch;
  const auto raw = std::span(high).subspan(first * parts.shape.inputs * 2);
  Bytes payload;
  const auto listed = EncodeGptqFloats(dtype, codec::Effort::kHuffman, first, raw, parts.tensor(),
                                       &scratch, &payload);
  EXPECT_TRUE(listed.has_value());
  const double bits = 16.0 * static_cast<double>(payload.size()) / static_cast<double>(raw.size());
  payload.resize(payload.size() + codec::kReadSlack);
  base::ByteReader reader(payload);
  Bytes back(raw.size());
  const Status status = DecodeGptqFloats(dtype, first, &reader, parts.tensor(), &scratch, back);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(std::equal(back.begin(), back.end(), raw.begin(), raw.end()));
  EXPECT_EQ(reader.remaining(), codec::kReadSlack);
  return bits;
}

TEST(GptqFloats, TakeFewBitsBesideTheirIntegers) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const double more = dtype == DType::kF16 ? 3.0 : 0.0;
    const Model model = MakeModel(dtype, 512, 256, 1);
    for (const bool shuffled : {false, true}) {
      for (const bool less_one : {false, true}) {
        const auto bits_given = [&](unsigned bits) {
          return FloatBits(dtype, model.high,
                           MakeGptq(model.values, 512, 256, bits, 4, bits, less_one, shuffled));
        };
        EXPECT_LT(bits_given(8), 4.3 + more);
        EXPECT_LT(bits_given(4), 8.3 + more);
        EXPECT_LT(bits_given(3), 9.3 + more);
        EXPECT_LT(bits_given(2), 10.8 + more);
      }
    }
  }
}

TEST(GptqFloats, AnyPatternComesBack) {
  std::mt19937 random(2);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Model model = MakeModel(dtype, 96, 40, 2);
    const GptqParts parts = MakeGptq(model.values, 96, 40, 4, 3, 2);
    for (auto& b : model.high) b = static_cast<std::byte>(random());
    FloatBits(dtype, model.high, parts);
    FloatBits(dtype, model.high, parts, 17);
    FloatBits(dtype, Bytes(model.high.size()), parts);
  }
}

// Codes and decodes all inputs from `first` on; returns the bits of a weight.
double IntegerBits(const GptqParts& own, const GptqParts& parent, uint64_t first = 0) {
  GptqScratch scratch;
  const auto raw = std::span(own.weights).subspan(first * own.shape.outputs * own.shape.bits / 8);
  const auto words =
      std::span(parent.weights).subspan(first * own.shape.outputs * parent.shape.bits / 8);
  Bytes payload;
  EXPECT_TRUE(EncodeGptqIntegers(codec::Effort::kHuffman, first, raw, own.tensor(), words,
                                 parent.tensor(), &scratch, &payload)
                  .has_value());
  const auto count = static_cast<double>(8 * raw.size() / own.shape.bits);
  const double bits = 8 * static_cast<double>(payload.size()) / count;
  payload.resize(payload.size() + codec::kReadSlack);
  base::ByteReader reader(payload);
  Bytes back(raw.size());
  const Status status =
      DecodeGptqIntegers(first, &reader, own.tensor(), words, parent.tensor(), &scratch, back);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(std::equal(back.begin(), back.end(), raw.begin(), raw.end()));
  return bits;
}

TEST(GptqIntegers, TakeFewBitsBesideOthers) {
  const Model model = MakeModel(DType::kBF16, 512, 256, 3);
  const auto made = [&](unsigned bits, uint64_t groups, bool shuffled) {
    return MakeGptq(model.values, 512, 256, bits, groups, bits, bits != 4, shuffled);
  };
  for (const bool shuffled : {false, true}) {
    EXPECT_LT(IntegerBits(made(8, 4, shuffled), made(4, 4, false)), 5.3);
    EXPECT_LT(IntegerBits(made(8, 4, false), made(4, 8, shuffled), 32), 5.3);
    EXPECT_LT(IntegerBits(made(4, 4, shuffled), made(2, 4, shuffled)), 3.2);
    EXPECT_LT(IntegerBits(made(8, 4, shuffled), made(3, 4, shuffled)), 6.3);
    EXPECT_LT(IntegerBits(made(4, 1, shuffled), made(8, 4, shuffled)), 1.7);
  }
}

TEST(GptqIntegers, AnyWordsComeBack) {
  std::mt19937 random(4);
  const Model model = MakeModel(DType::kBF16, 96, 64, 4);
  for (const unsigned bits : {2u, 3u, 4u, 8u}) {
    GptqParts own = MakeGptq(model.values, 96, 64, bits, 3, 1);
    const GptqParts parent = MakeGptq(model.values, 96, 64, 4, 3, 2);
    for (auto& b : own.weights) b = static_cast<std::byte>(random());
    IntegerBits(own, parent);
    IntegerBits(own, parent, 64);
  }
}

TEST(GptqCoders, SayNothingWithoutGroups) {
  const Model model = MakeModel(DType::kBF16, 64, 32, 5);
  GptqParts parts = MakeGptq(model.values, 64, 32, 4, 2, 1);
  const GptqParts own = MakeGptq(model.values, 64, 32, 8, 2, 1);
  parts.groups[0] = std::byte{2};
  GptqScratch scratch;
  Bytes payload;
  EXPECT_FALSE(EncodeGptqFloats(DType::kBF16, codec::Effort::kHuffman, 0, model.high,
                                parts.tensor(), &scratch, &payload)
                   .has_value());
  EXPECT_FALSE(EncodeGptqIntegers(codec::Effort::kHuffman, 0, own.weights, own.tensor(),
                                  parts.weights, parts.tensor(), &scratch, &payload)
                   .has_value());
  EXPECT_TRUE(payload.empty());
}

}  // namespace
}  // namespace qstore::scheme
