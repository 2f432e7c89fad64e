// SPDX-License-Identifier: Apache-2.0
#include "codec/huffman.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace qstore::codec {
namespace {

struct Leaf {
  uint32_t count;
  uint8_t symbol;
};

// Depths of an unrestricted Huffman tree over leaves sorted by rising count: the two-queue method,
// in place of a heap.
std::vector<uint8_t> TreeDepths(const std::vector<Leaf>& leaves) {
  const size_t n = leaves.size();
  std::vector<uint64_t> weight(2 * n - 1);
  std::vector<size_t> parent(2 * n - 1);
  for (size_t i = 0; i < n; ++i) weight[i] = leaves[i].count;
  size_t leaf = 0;
  size_t inner = n;
  for (size_t node = n; node < 2 * n - 1; ++node) {
    uint64_t sum = 0;
    for (int child = 0; child < 2; ++child) {
      const bool take_leaf = leaf < n && (inner >= node || weight[leaf] <= weight[inner]);
      const size_t taken = take_leaf ? leaf++ : inner++;
      parent[taken] = node;
      sum += weight[taken];
    }
    weight[node] = sum;
  }
  std::vector<uint8_t> depth(2 * n - 1, 0);
  for (size_t node = 2 * n - 2; node-- > 0;) {
    depth[node] = static_cast<uint8_t>(depth[parent[node]] + 1);
  }
  depth.resize(n);
  return depth;
}

// Shortens an over-full code (Kraft sum above 1 after clamping) by lengthening the rarest symbols,
// then gives what is left over to the most frequent ones. Leaves are sorted by rising count.
void RestoreKraft(std::vector<uint8_t>* depth) {
  constexpr int64_t kOne = int64_t{1} << kMaxCodeLength;
  int64_t sum = 0;
  for (uint8_t d : *depth) sum += kOne >> d;
  while (sum > kOne) {
    for (auto& d : *depth) {
      if (d < kMaxCodeLength) {
        sum -= (kOne >> d) - (kOne >> (d + 1));
        ++d;
        if (sum <= kOne) break;
      }
    }
  }
  while (sum < kOne) {
    for (size_t i = depth->size(); i-- > 0;) {
      const int64_t gain = kOne >> (*depth)[i];
      if (sum + gain <= kOne) {
        sum += gain;
        --(*depth)[i];
      }
    }
  }
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
  std::vector<uint8_t> depth = TreeDepths(leaves);
  bool clamped = false;
  for (auto& d : depth) {
    if (d > kMaxCodeLength) {
      d = kMaxCodeLength;
      clamped = true;
    }
  }
  if (clamped) RestoreKraft(&depth);
  CodeLengths lengths{};
  for (size_t i = 0; i < leaves.size(); ++i) lengths[leaves[i].symbol] = depth[i];
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
