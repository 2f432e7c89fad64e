// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "registry/given.h"
#include "registry/gptq.h"
#include "registry/weights.h"
#include "scheme/gptq/gptq.h"

namespace qstore::scheme {
namespace {

using testing::GptqParts;
using Bytes = std::vector<std::byte>;

constexpr uint64_t kInputs = 256;
constexpr uint64_t kOutputs = 96;

struct Case {
  DType dtype = DType::kBF16;
  unsigned bits = 4;
  bool less_one = true;
  bool shuffled = false;
};

struct Model {
  explicit Model(const Case& c)
      : dtype(c.dtype), high(testing::MakePair(c.dtype, kOutputs, kInputs, 3).high) {
    std::vector<float> values;
    for (uint64_t i = 0; i < kInputs * kOutputs; ++i) {
      values.push_back(testing::PatternValue(c.dtype, &high[2 * i]));
    }
    parts = testing::MakeGptq(values, kInputs, kOutputs, c.bits, 4, c.bits, c.less_one, c.shuffled);
    has_groups = c.shuffled;
  }

  // Bits of a weight; all words come back.
  double Bits() const {
    const ObjectSpec weights = SpecFor(dtype, std::array{kOutputs, kInputs}, high.size());
    const uint64_t rows = parts.weights.size() / 4 / kOutputs;
    ObjectSpec words = SpecFor(DType::kI32, std::array{rows, kOutputs}, parts.weights.size());
    words.chunk_elems = 3 * parts.shape.bits * kOutputs;
    const auto side = [](DType type, const Bytes& content) {
      const uint64_t count = content.size() / (DTypeBits(type) / 8);
      return SpecFor(type, std::array{count}, content.size());
    };
    std::vector<ObjectSpec> specs = {weights, side(DType::kF16, parts.scales),
                                     side(DType::kI32, parts.zeros)};
    std::vector<Bytes> parents = {high, parts.scales, parts.zeros};
    if (has_groups) {
      specs.push_back(side(DType::kI32, parts.groups));
      parents.push_back(parts.groups);
    }
    const Bytes params = {testing::NumberOf(DType::kF16), std::byte{has_groups}};
    const auto bound = testing::BindOrFail(GptqCodes(), words, specs, params);
    if (bound == nullptr) return 99;
    uint64_t taken = 0;
    ChunkCoder encoder, decoder;
    EXPECT_GT(words.chunk_count(), 1u);
    for (uint64_t c = 0; c < words.chunk_count(); ++c) {
      const testing::ChunkParents given(bound.get(), parents, words, c);
      const auto raw =
          std::span(parts.weights).subspan(words.first_elem(c) * 4, words.chunk_elem_count(c) * 4);
      Bytes payload;
      const auto codec =
          encoder.Encode(words, Level::kBalanced, c, raw, given.given(), &payload).value();
      taken += payload.size();
      Bytes out(raw.size(), std::byte{0xaa});
      EXPECT_TRUE(decoder.Decode(words, c, codec, payload, given.given(), out).ok());
      EXPECT_TRUE(std::equal(raw.begin(), raw.end(), out.begin()));
    }
    return 8.0 * static_cast<double>(taken) / (kInputs * kOutputs);
  }

  DType dtype;
  Bytes high;
  GptqParts parts;
  bool has_groups = false;
};

// The noise of the registry's twins is 0.3 steps.
TEST(GptqCodes, TakeFewBitsBesideWeights) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    for (const unsigned bits : {2u, 3u, 4u, 8u}) {
      for (const bool less_one : {false, true}) {
        for (const bool shuffled : {false, true}) {
          const double most = bits == 8 ? 2.8 : 1.7;
          EXPECT_LT(Model({dtype, bits, less_one, shuffled}).Bits(), most) << bits;
        }
      }
    }
  }
}

TEST(GptqCodes, AnyContentComesBack) {
  std::mt19937 random(5);
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f};
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Model model({dtype, 4, true, true});
    for (int i = 0; i < 300; ++i) {
      Bytes pattern;
      testing::AppendPattern(dtype, special[static_cast<size_t>(i) % std::size(special)], &pattern);
      std::copy(pattern.begin(), pattern.end(),
                model.high.begin() + static_cast<ptrdiff_t>(random() % (kInputs * kOutputs) * 2));
      model.parts.weights[random() % model.parts.weights.size()] = static_cast<std::byte>(random());
    }
    std::fill_n(model.parts.scales.begin(), 40, std::byte{0});
    EXPECT_LT(model.Bits(), 4.1);
    model.parts.groups[3] = std::byte{0x11};  // A group that does not exist.
    EXPECT_LT(model.Bits(), 4.1);
  }
}

}  // namespace
}  // namespace qstore::scheme
