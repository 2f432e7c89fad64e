// SPDX-License-Identifier: Apache-2.0
#include "analyze/huffman_cost.h"

#include <gtest/gtest.h>

#include <vector>

namespace qstore::analyze {
namespace {

CodeCost Cost(std::vector<uint64_t> counts) { return HuffmanCost().Of(counts, 8); }

TEST(HuffmanCost, OfNothingIsNothing) {
  EXPECT_EQ(Cost({}).code_bits, 0u);
  EXPECT_EQ(Cost({}).table_bits, 0u);
}

TEST(HuffmanCost, OfOneSymbolIsABitEach) {
  EXPECT_EQ(Cost({800}).code_bits, 800u);
  EXPECT_EQ(Cost({800}).entropy_bits, 0);
}

// With the end: lengths 1, 2, 3, 3 for counts 8, 4, 2 and 1.
TEST(HuffmanCost, IsThatOfTheTree) {
  EXPECT_EQ(Cost({8, 4, 2}).code_bits, 24u);  // 8 + 8 + 6 = 22, filled up.
  EXPECT_EQ(Cost({800, 400, 200}).code_bits, 800u + 800 + 600);
  EXPECT_EQ(Cost({8, 4, 2}).table_bits, 16u + 3 * (8 + 6));
}

// The end is the smallest of equals, so with a symbol of count 1 it is joined first: {end, a}, b.
TEST(HuffmanCost, BreaksTiesAsThePrototypesCoder) {
  // a, b with 1 each: the end and a join, a has 2 bits and b 1; 3 bits, not 2.
  EXPECT_EQ(Cost({1, 1}).code_bits, 8u);
  // Twelve symbols of 1: what dahuffman 0.4.2 writes is 6 bytes.
  EXPECT_EQ(Cost(std::vector<uint64_t>(12, 1)).code_bits, 48u);
}

TEST(HuffmanCost, EntropyIsTheFloor) {
  const CodeCost cost = Cost({100, 100, 100, 100});
  EXPECT_DOUBLE_EQ(cost.entropy_bits, 800);
  EXPECT_GE(cost.code_bits, 800u);
}

TEST(HuffmanCost, LeavesOutWhatDoesNotOccur) {
  const std::vector<uint64_t> histogram = {0, 800, 0, 400, 200, 0};
  const CodeCost cost = CostOfHistogram(histogram, 8);
  EXPECT_EQ(cost.code_bits, 2200u);
  EXPECT_EQ(cost.table_bits, 16u + 3 * 14);
}

}  // namespace
}  // namespace qstore::analyze
