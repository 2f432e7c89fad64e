// SPDX-License-Identifier: Apache-2.0
#include "codec/huffman.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "codec/kernels/kernels.h"

namespace qstore::codec {
namespace {

constexpr size_t kSymbols = 256;

// Counts of symbols in rising order, symbols beside them.
struct Leaves {
  size_t size = 0;
  std::array<uint32_t, kSymbols> count;
  std::array<uint8_t, kSymbols> symbol;
};

Leaves SortedLeaves(const Histogram& counts) {
  Leaves leaves;
  std::array<uint64_t, kSymbols> keys;
  for (unsigned s = 0; s < kSymbols; ++s) {
    if (counts[s] > 0) keys[leaves.size++] = uint64_t{counts[s]} << 8 | (kSymbols - 1 - s);
  }
  std::sort(keys.begin(), keys.begin() + static_cast<ptrdiff_t>(leaves.size));
  for (size_t i = 0; i < leaves.size; ++i) {
    leaves.count[i] = static_cast<uint32_t>(keys[i] >> 8);
    leaves.symbol[i] = static_cast<uint8_t>(kSymbols - 1 - (keys[i] & 0xff));
  }
  return leaves;
}

// Package-merge (Larmore and Hirschberg 1990): the cheapest lengths of at most kMaxCodeLength over
// leaves sorted by rising count. Of every level only which items are leaves is kept: the solution
// takes a prefix of each level's list, and in it the rarest leaves.
std::array<uint8_t, kSymbols> LimitedLengths(const Leaves& leaves) {
  const size_t n = leaves.size;
  std::array<std::array<uint8_t, 2 * kSymbols>, kMaxCodeLength> is_leaf;
  std::array<uint64_t, 2 * kSymbols + 2> items;
  std::array<uint64_t, 2 * kSymbols + 2> merged;
  std::array<uint64_t, kSymbols + 1> counts;
  std::copy_n(leaves.count.begin(), n, items.begin());
  std::copy_n(leaves.count.begin(), n, counts.begin());
  // Behind the last leaf and the last pair there are more than all others, so that a merge need not
  // ask, and has no branch that could be guessed wrong.
  constexpr uint64_t kEnd = uint64_t{1} << 62;
  counts[n] = 4 * kEnd - 1;
  size_t size = n;
  std::fill_n(is_leaf[0].begin(), n, uint8_t{1});
  for (unsigned level = 1; level < kMaxCodeLength; ++level) {
    const size_t pairs = size / 2;
    size_t leaf = 0;
    size_t pair = 0;
    items[2 * pairs] = items[2 * pairs + 1] = kEnd;
    for (size_t i = 0; i < n + pairs; ++i) {
      const uint64_t package = items[2 * pair] + items[2 * pair + 1];
      const uint64_t take_leaf = counts[leaf] <= package ? 1 : 0;
      merged[i] = std::min(counts[leaf], package);
      is_leaf[level][i] = static_cast<uint8_t>(take_leaf);
      leaf += take_leaf;
      pair += 1 - take_leaf;
    }
    size = n + pairs;
    std::swap(items, merged);
  }
  std::array<uint8_t, kSymbols> lengths{};
  size_t taken = 2 * n - 2;
  for (unsigned level = kMaxCodeLength; level-- > 0;) {
    const auto begin = is_leaf[level].begin();
    const auto used =
        static_cast<size_t>(std::count(begin, begin + static_cast<ptrdiff_t>(taken), uint8_t{1}));
    for (size_t i = 0; i < used; ++i) ++lengths[i];
    taken = 2 * (taken - used);
  }
  return lengths;
}

// The lowest `length` bits the other way round.
uint16_t Reversed(uint32_t code, unsigned length) {
  uint32_t bits = code << (16 - length);
  bits = (bits & 0x5555) << 1 | (bits >> 1 & 0x5555);
  bits = (bits & 0x3333) << 2 | (bits >> 2 & 0x3333);
  bits = (bits & 0x0f0f) << 4 | (bits >> 4 & 0x0f0f);
  return static_cast<uint16_t>(bits << 8 | bits >> 8);
}

void AddCounts(const uint8_t* bytes, size_t count, Histogram* counts) {
  constexpr size_t kFew = 256;
  if (count <= kFew) {
    for (size_t i = 0; i < count; ++i) ++(*counts)[bytes[i]];
    return;
  }
  // Four tables, so that equal neighbours do not wait for one another's increment.
  std::array<Histogram, 4> parts{};
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, sizeof(word));
    for (size_t j = 0; j < 8; ++j) ++parts[j % 4][(word >> (8 * j)) & 0xff];
  }
  for (; i < count; ++i) ++parts[0][bytes[i]];
  for (unsigned s = 0; s < kSymbols; ++s) {
    (*counts)[s] += parts[0][s] + parts[1][s] + parts[2][s] + parts[3][s];
  }
}

// Symbols of few bits, counted as many at a time as a byte holds.
constexpr size_t kFewBlock = 4096;

// Adds symbols below 2^width; `width` divides 8, kFewBlock `count`.
void CountFew(const uint8_t* symbols, size_t count, unsigned width, Histogram* counts) {
  Histogram packed{};
  uint8_t block[kFewBlock / 2 + kReadSlack];
  for (size_t i = 0; i < count; i += kFewBlock) {
    ActiveKernels().pack(symbols + i, width, kFewBlock, block);
    AddCounts(block, kFewBlock * width / 8, &packed);
  }
  for (unsigned byte = 0; byte < kSymbols; ++byte) {
    for (unsigned bit = 0; bit < 8; bit += width) {
      (*counts)[byte >> bit & ((1u << width) - 1)] += packed[byte];
    }
  }
}

}  // namespace

CodeLengths MakeCodeLengths(const Histogram& counts) {
  const Leaves leaves = SortedLeaves(counts);
  const auto limited = LimitedLengths(leaves);
  CodeLengths lengths{};
  for (size_t i = 0; i < leaves.size; ++i) lengths[leaves.symbol[i]] = limited[i];
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
  std::array<uint32_t, kMaxCodeLength + 1> next{};
  for (const uint8_t length : lengths) ++next[length];
  next[0] = 0;
  uint32_t first = 0;
  for (unsigned length = 1; length <= kMaxCodeLength; ++length) {
    first <<= 1;
    const uint32_t count = next[length];
    next[length] = first;
    first += count;
  }
  std::array<uint16_t, 256> codes{};
  for (unsigned s = 0; s < 256; ++s) {
    if (lengths[s] > 0) codes[s] = Reversed(next[lengths[s]]++, lengths[s]);
  }
  return codes;
}

void MakeDecodeTable(const CodeLengths& lengths, DecodeTable* table) {
  const auto codes = MakeCodes(lengths);
  std::array<std::array<uint8_t, 256>, kMaxCodeLength + 1> symbols;
  std::array<size_t, kMaxCodeLength + 1> count{};
  for (unsigned s = 0; s < 256; ++s) {
    symbols[lengths[s]][count[lengths[s]]++] = static_cast<uint8_t>(s);
  }
  (*table)[0] = 0;
  // A table for one bit more is twice the one before, and the codes that have this bit.
  for (unsigned length = 1; length <= kMaxCodeLength; ++length) {
    const size_t half = size_t{1} << (length - 1);
    std::copy_n(table->begin(), half, table->begin() + static_cast<ptrdiff_t>(half));
    for (size_t i = 0; i < count[length]; ++i) {
      const unsigned s = symbols[length][i];
      (*table)[codes[s]] = static_cast<uint16_t>(s << 8 | length);
    }
  }
  table->back() = 0;
}

void CountBytes(const uint8_t* bytes, size_t count, Histogram* counts) {
  counts->fill(0);
  size_t i = 0;
  if (count >= kFewBlock) {
    uint8_t any = 0;
    for (size_t j = 0; j < count; ++j) any |= bytes[j];
    if (any < 16) {
      i = count / kFewBlock * kFewBlock;
      CountFew(bytes, i, any < 2 ? 1 : any < 4 ? 2 : 4, counts);
    }
  }
  AddCounts(bytes + i, count - i, counts);
}

double EntropyBits(const Histogram& counts) {
  double total = 0;
  double weighted = 0;
  // Most counts of a tiny tensor are 1, which adds nothing, or a few.
  for (uint32_t c : counts) {
    total += c;
    if (c > 1) weighted += c * std::log2(static_cast<double>(c));
  }
  return total > 0 ? total * std::log2(total) - weighted : 0;
}

uint64_t CodedBits(const Histogram& counts, const CodeLengths& lengths) {
  uint64_t bits = 0;
  for (unsigned s = 0; s < 256; ++s) bits += uint64_t{counts[s]} * lengths[s];
  return bits;
}

}  // namespace qstore::codec
