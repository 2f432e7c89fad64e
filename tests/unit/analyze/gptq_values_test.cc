// SPDX-License-Identifier: Apache-2.0
#include "analyze/gptq_values.h"

#include "unit/analyze/gptq_model.h"

namespace qstore::analyze {
namespace {

class Widths : public ::testing::TestWithParam<unsigned> {};

TEST_P(Widths, ComeBackFromTheirWords) {
  const unsigned bits = GetParam();
  // 13 and 40 word rows or more: blocks that end inside a block of the unpacker.
  for (const uint64_t ins : {32u, 416u, 1280u}) {
    testing::GptqLayer layer{bits, 7, ins, 1, {}, {}, {}};
    std::mt19937 random(bits);
    for (uint64_t i = 0; i < layer.outs * ins; ++i) {
      layer.integers.push_back(static_cast<uint8_t>(random() & ((1u << bits) - 1)));
    }
    std::vector<uint8_t> values(layer.integers.size());
    UnpackColumns(layer.Packed(), layer.outs, bits, ins, values.data());
    EXPECT_EQ(values, layer.integers) << ins;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Widths, ::testing::Values(2u, 3u, 4u, 8u));

TEST(GptqValues, KnowsTheWidths) {
  for (uint64_t bits = 0; bits < 40; ++bits) {
    EXPECT_EQ(IsGptqWidth(bits), bits == 2 || bits == 3 || bits == 4 || bits == 8) << bits;
  }
}

// The layout that the loaders' kernels take apart, word by word.
TEST(GptqValues, ReadsThreeBitsAcrossWords) {
  const std::vector<uint32_t> words = {0x40000000, 0x80000001, 0x00000003};
  std::vector<uint8_t> values(32);
  UnpackColumns(words, 1, 3, 32, values.data());
  std::vector<uint8_t> expected(32, 0);
  expected[10] = 1 | 1 << 2;  // Bits 30, 31 of the first word, then bit 0 of the second.
  expected[21] = 1 | 3 << 1;  // Bit 31 of the second word, then bits 0, 1 of the third.
  EXPECT_EQ(values, expected);
}

}  // namespace
}  // namespace qstore::analyze
