// SPDX-License-Identifier: Apache-2.0
#include "analyze/huffman_cost.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace qstore::analyze {
namespace {

// A node is its count and, for ties, the lowest place that names it: one number to compare.
constexpr unsigned kPlaceBits = 20;
constexpr uint64_t kPlaceMask = (uint64_t{1} << kPlaceBits) - 1;

double EntropyBits(std::span<const uint64_t> counts, uint64_t total) {
  double bits = 0;
  for (const uint64_t count : counts) {
    const auto part = static_cast<double>(count);
    bits += part * std::log2(static_cast<double>(total) / part);
  }
  return bits;
}

}  // namespace

CodeCost HuffmanCost::Of(std::span<const uint64_t> counts, unsigned symbol_bits) {
  CodeCost cost;
  if (counts.empty()) return cost;
  uint64_t total = 0;
  // The end has place 0; a joined node keeps the place of its smaller part.
  uint64_t end = uint64_t{1} << kPlaceBits;
  heap_.assign(1, end);
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    heap_.push_back(counts[i] << kPlaceBits | (i + 1));
  }
  const auto later = std::greater<>();
  std::make_heap(heap_.begin(), heap_.end(), later);
  uint64_t bits = 0;
  uint64_t end_length = 0;
  const auto take = [&] {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const uint64_t node = heap_.back();
    heap_.pop_back();
    return node;
  };
  while (heap_.size() > 1) {
    const uint64_t a = take();
    const uint64_t b = take();
    const uint64_t joined =
        ((a >> kPlaceBits) + (b >> kPlaceBits)) << kPlaceBits | (a & kPlaceMask);
    bits += joined >> kPlaceBits;
    if (a == end || b == end) {
      end = joined;
      ++end_length;
    }
    heap_.push_back(joined);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  cost.code_bits = (bits - end_length + 7) / 8 * 8;
  cost.table_bits = kTableCountBits + counts.size() * (symbol_bits + kTableLengthBits);
  cost.entropy_bits = EntropyBits(counts, total);
  return cost;
}

CodeCost CostOfHistogram(std::span<const uint64_t> histogram, unsigned symbol_bits) {
  std::vector<uint64_t> counts;
  for (const uint64_t count : histogram) {
    if (count != 0) counts.push_back(count);
  }
  return HuffmanCost().Of(counts, symbol_bits);
}

}  // namespace qstore::analyze
