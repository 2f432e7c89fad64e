// SPDX-License-Identifier: Apache-2.0
#include "codec/huffman.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace qstore::codec {
namespace {

struct Leaf {
  uint32_t count;
  uint8_t symbol;
};

// Package-merge (Larmore and Hirschberg 1990): the cheapest lengths of at most kMaxCodeLength over
// leaves sorted by rising count. Of every level only which items are leaves is kept: the solution
// takes a prefix of each level's list, and in it the rarest leaves.
std::vector<uint8_t> LimitedLengths(const std::vector<Leaf>& leaves) {
  const size_t n = leaves.size();
  std::vector<uint64_t> items(n);
  for (size_t i = 0; i < n; ++i) items[i] = leaves[i].count;
  std::array<std::vector<bool>, kMaxCodeLength> is_leaf;
  is_leaf[0].assign(n, true);
  for (unsigned level = 1; level < kMaxCodeLength; ++level) {
    std::vector<uint64_t> merged;
    size_t leaf = 0;
    size_t pair = 0;
    while (leaf < n || pair + 1 < items.size()) {
      const bool has_pair = pair + 1 < items.size();
      const uint64_t package = has_pair ? items[pair] + items[pair + 1] : 0;
      const bool take_leaf = leaf < n && (!has_pair || leaves[leaf].count <= package);
      merged.push_back(take_leaf ? leaves[leaf].count : package);
      is_leaf[level].push_back(take_leaf);
      if (take_leaf) {
        ++leaf;
      } else {
        pair += 2;
      }
    }
    items = std::move(merged);
  }
  std::vector<uint8_t> lengths(n, 0);
  size_t taken = 2 * n - 2;
  for (unsigned level = kMaxCodeLength; level-- > 0;) {
    const auto begin = is_leaf[level].begin();
    const auto used =
        static_cast<size_t>(std::count(begin, begin + static_cast<ptrdiff_t>(taken), true));
    for (size_t i = 0; i < used; ++i) ++lengths[i];
    taken = 2 * (taken - used);
  }
  return lengths;
}

}  // namespace

CodeLengths MakeCodeLengths(const Histogram& counts) {
  std::vector<Leaf> leaves;
  for (unsigned s = 0; s < 256; ++s) {
    if (counts[s] > 0) leaves.push_back({counts[s], static_cast<uint8_t>(s)});
  }
  std::sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) {
    return a.count != b.count ? a.count < b.count : a.symbol > b.symbol;
  });
  const std::vector<uint8_t> limited = LimitedLengths(leaves);
  CodeLengths lengths{};
  for (size_t i = 0; i < leaves.size(); ++i) lengths[leaves[i].symbol] = limited[i];
  return lengths;
}

bool IsCompleteCode(const CodeLengths& lengths) {
  uint32_t sum = 0;
  for (uint8_t length : lengths) {
    if (length > kMaxCodeLength) return false;
    if (length > 0) sum += kDecodeTableSize >> length;
  }
  return sum == kDecodeTableSize;
}

std::array<uint16_t, 256> MakeCodes(const CodeLengths& lengths) {
  std::array<uint16_t, 256> codes{};
  uint32_t next = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; ++length) {
    next <<= 1;
    for (unsigned s = 0; s < 256; ++s) {
      if (lengths[s] != length) continue;
      uint32_t reversed = 0;
      for (unsigned bit = 0; bit < length; ++bit)
        reversed |= ((next >> bit) & 1) << (length - 1 - bit);
      codes[s] = static_cast<uint16_t>(reversed);
      ++next;
    }
  }
  return codes;
}

void MakeDecodeTable(const CodeLengths& lengths, DecodeTable* table) {
  const auto codes = MakeCodes(lengths);
  for (unsigned s = 0; s < 256; ++s) {
    if (lengths[s] == 0) continue;
    const auto entry = static_cast<uint16_t>(s << 8 | lengths[s]);
    for (uint32_t i = codes[s]; i < kDecodeTableSize; i += 1u << lengths[s]) (*table)[i] = entry;
  }
  table->back() = 0;
}

void CountBytes(const uint8_t* bytes, size_t count, Histogram* counts) {
  // Four tables, so that equal neighbours do not wait for one another's increment.
  std::array<Histogram, 4> parts{};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (size_t j = 0; j < 4; ++j) ++parts[j][bytes[i + j]];
  }
  for (; i < count; ++i) ++parts[0][bytes[i]];
  for (unsigned s = 0; s < 256; ++s) {
    (*counts)[s] = parts[0][s] + parts[1][s] + parts[2][s] + parts[3][s];
  }
}

double EntropyBits(const Histogram& counts) {
  double total = 0;
  double weighted = 0;
  for (uint32_t c : counts) {
    if (c == 0) continue;
    total += c;
    weighted += c * std::log2(static_cast<double>(c));
  }
  return total > 0 ? total * std::log2(total) - weighted : 0;
}

uint64_t CodedBits(const Histogram& counts, const CodeLengths& lengths) {
  uint64_t bits = 0;
  for (unsigned s = 0; s < 256; ++s) bits += uint64_t{counts[s]} * lengths[s];
  return bits;
}

}  // namespace qstore::codec
