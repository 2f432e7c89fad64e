// SPDX-License-Identifier: Apache-2.0
#include "analyze/gptq_values.h"

#include <algorithm>

namespace qstore::analyze {
namespace {

// Word rows taken together, so that a column's values are written a cache line at a time. A
// multiple of 3: runs of 32 values of 3 bits begin with a block.
constexpr size_t kBlockWords = 12;

template <unsigned kBits>
void UnpackWhole(const uint32_t* word, size_t stride, size_t words, uint8_t* out) {
  for (size_t r = 0; r < words; ++r) {
    const uint32_t packed = word[r * stride];
    for (unsigned shift = 0; shift < 32; shift += kBits) {
      *out++ = static_cast<uint8_t>((packed >> shift) & ((1u << kBits) - 1));
    }
  }
}

void UnpackTriples(const uint32_t* word, size_t stride, size_t words, uint8_t* out) {
  for (size_t r = 0; r < words; r += 3) {
    const uint64_t low = word[r * stride] | uint64_t{word[(r + 1) * stride]} << 32;
    const uint64_t high = low >> 32 | uint64_t{word[(r + 2) * stride]} << 32;
    for (unsigned i = 0; i < 21; ++i) *out++ = static_cast<uint8_t>((low >> (3 * i)) & 7);
    for (unsigned i = 21; i < 32; ++i) *out++ = static_cast<uint8_t>((high >> (3 * i - 32)) & 7);
  }
}

}  // namespace

bool IsGptqWidth(uint64_t bits) { return bits == 2 || bits == 3 || bits == 4 || bits == 8; }

void UnpackColumns(std::span<const uint32_t> words, size_t columns, unsigned bits, size_t inputs,
                   uint8_t* values) {
  const size_t rows = inputs * bits / 32;
  for (size_t row = 0; row < rows; row += kBlockWords) {
    const size_t count = std::min(kBlockWords, rows - row);
    for (size_t column = 0; column < columns; ++column) {
      const uint32_t* word = words.data() + row * columns + column;
      uint8_t* out = values + column * inputs + row * 32 / bits;
      switch (bits) {
        case 2:
          UnpackWhole<2>(word, columns, count, out);
          break;
        case 3:
          UnpackTriples(word, columns, count, out);
          break;
        case 4:
          UnpackWhole<4>(word, columns, count, out);
          break;
        default:
          UnpackWhole<8>(word, columns, count, out);
      }
    }
  }
}

}  // namespace qstore::analyze
