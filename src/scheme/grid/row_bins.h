// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "codec/kernels/kernels.h"
#include "scheme/grid/bins_coder.h"
#include "scheme/grid/grid.h"

// What the two directions of the bins coder share. docs/format-coding.md, "Bins".

namespace qstore::scheme::bins {

/// Codes a bin may have in lanes of 8 and 16 bits.
inline constexpr uint32_t kByteLimit = 255;
inline constexpr uint32_t kWordLimit = (1u << 14) - 1;

/// Elements whose indices share one number below 2^56 at level max.
inline unsigned GroupSize(bool byte_lanes) { return byte_lanes ? 7 : 4; }

struct Header {
  unsigned shift = 0;     ///< Candidates are the multiples of 2^shift in the bin.
  unsigned low_bits = 0;  ///< Low bits of the index that lie in a plane of their own.
  bool via_fp16 = false;  ///< BinRule::via_fp16.
  unsigned group = 1;     ///< Elements to a number: 1 or GroupSize.
};

/// A BF16 bin has at most 203 candidates; an F16 bin eight times as many, unless their low bits are
// 0.
inline bool UsesByteLanes(DType dtype, unsigned shift) {
  return dtype == DType::kBF16 || (dtype == DType::kF16 && shift >= 3);
}

inline unsigned LowBits(DType dtype, unsigned shift) {
  return dtype == DType::kF32 && shift < 8 ? 8 - shift : 0;
}

inline unsigned MaxShift(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 7;
    case DType::kF16:
      return 10;
    default:
      return 23;
  }
}

/// Width and threshold of the truncated binary code of up to kByteLimit candidates.
struct ByteCodes {
  constexpr ByteCodes() {
    for (uint32_t codes = 1; codes <= kByteLimit; ++codes) {
      const auto bits = static_cast<unsigned>(std::bit_width(codes)) - 1;
      width[codes] = static_cast<uint8_t>(bits);
      threshold[codes] = static_cast<uint8_t>((2u << bits) - codes);
    }
  }
  uint8_t width[kByteLimit + 1] = {};
  uint8_t threshold[kByteLimit + 1] = {};
};
inline constexpr ByteCodes kByteCodes;

/// The bins of one row at a time, in the form the kernels want.
class RowBins {
 public:
  RowBins(const Grid& grid, DType dtype, const Header& header, std::span<const float> scales,
          BinsScratch* scratch)
      : grid_(grid),
        rule_{dtype, header.via_fp16},
        header_(header),
        scales_(scales),
        known_(scratch->known) {
    bytes_ = UsesByteLanes(dtype, header.shift);
    known_.resize(kKnown);
    for (KnownBins& known : known_) known.is_known = false;
  }

  static constexpr size_t kKnown = 64;

  void Select(uint64_t row) {
    const float scale = scales_[row];
    const auto pattern = std::bit_cast<uint32_t>(scale);
    if (selected_ && pattern == pattern_) return;
    selected_ = true;
    pattern_ = pattern;
    // Blocks of rows have the same scales again in each row.
    KnownBins& known = known_[(pattern ^ pattern >> 16 ^ pattern >> 22) % kKnown];
    table8_ = &known.table;
    if (bytes_ && known.is_known && known.scale == pattern) return;
    known.is_known = true;
    known.scale = pattern;
    if (!FindAtOnce(scale)) FindOneByOne(scale);
  }

  bool bytes() const { return bytes_; }
  const codec::BinTable8& table8() const { return *table8_; }
  const codec::BinTable16& table16() const { return table16_; }

  /// For targets of 16 bits: the first pattern of every bin, kWideBin when it is wide.
  const uint16_t* first16() const { return bytes_ ? table8_->first : first16_; }

  bool is_wide(unsigned k) const {
    return bytes_ ? table8_->first[k] == codec::kWideBin : count_[k] == 0;
  }
  /// Candidates of a bin that is not wide.
  uint32_t count(unsigned k) const { return bytes_ ? codes(k) : count_[k]; }
  uint32_t first(unsigned k) const { return bytes_ ? table8_->first[k] : table16_.first[k]; }
  /// Numbers that the index above its low bits may take: 1 for a wide bin.
  uint32_t codes(unsigned k) const {
    return bytes_ ? (2u << table8_->width[k]) - table8_->threshold[k]
                  : (2u << table16_.width[k]) - table16_.threshold[k];
  }

 private:
  bool FindAtOnce(float scale) {
    return rule_.target == DType::kBF16 && !rule_.via_fp16 &&
           grid_.FindTable(scale, header_.shift, table8_);
  }

  void FindOneByOne(float scale) {
    uint32_t first[kMaxMagnitude + 2];
    const bool found = grid_.FindBins(rule_, scale, first);
    // Bin 0, of both signs, has no index; nor has any in a row without bins.
    if (!found) std::fill(std::begin(first), std::end(first), 0);
    const uint32_t round = (1u << header_.shift) - 1;
    for (unsigned k = 0; k < codec::kBinCount; ++k) {
      low_[k] = (first[k] + round) >> header_.shift;
      count_[k] = ((first[k + 1] + round) >> header_.shift) - low_[k];
    }
    count_[0] = 0;
    if (bytes_) {
      SetBytes();
    } else {
      SetWords();
    }
  }

  void SetBytes() {
    for (unsigned k = 0; k < codec::kBinCount; ++k) {
      const bool wide = count_[k] - 1 >= kByteLimit;  // So is 0.
      const uint32_t codes = wide ? 1 : count_[k];
      table8_->first[k] = wide ? codec::kWideBin : static_cast<uint16_t>(low_[k]);
      table8_->width[k] = kByteCodes.width[codes];
      table8_->threshold[k] = kByteCodes.threshold[codes];
    }
  }

  void SetWords() {
    for (unsigned k = 0; k < codec::kBinCount; ++k) {
      uint32_t codes = count_[k] > 0 ? ((count_[k] - 1) >> header_.low_bits) + 1 : 0;
      const bool wide = codes == 0 || codes > kWordLimit;
      if (wide) {
        count_[k] = 0;
        codes = 1;
      }
      table16_.first[k] = wide ? codec::kWideBin32 : low_[k];
      first16_[k] = wide ? codec::kWideBin : static_cast<uint16_t>(low_[k]);
      const auto width = static_cast<unsigned>(std::bit_width(codes)) - 1;
      table16_.width[k] = static_cast<uint16_t>(width);
      table16_.threshold[k] = static_cast<uint16_t>((2u << width) - codes);
    }
  }

  const Grid& grid_;
  BinRule rule_;
  Header header_;
  std::span<const float> scales_;
  bool bytes_ = false;
  bool selected_ = false;
  uint32_t pattern_ = 0;
  uint32_t low_[codec::kBinCount] = {};
  uint32_t count_[codec::kBinCount] = {};
  std::vector<KnownBins>& known_;
  codec::BinTable8* table8_ = nullptr;
  codec::BinTable16 table16_;
  uint16_t first16_[codec::kBinCount] = {};
};

/// Calls body(row, begin, count) for every run of elements of one row; begin counts from the
/// chunk's first element.
template <class Body>
void ForEachRow(const RowRange& range, size_t count, Body body) {
  size_t done = 0;
  while (done < count) {
    const uint64_t elem = range.first_elem + done;
    const uint64_t row = elem / range.row_elems;
    const uint64_t left = (row + 1) * range.row_elems - elem;
    const size_t run = static_cast<size_t>(std::min<uint64_t>(left, count - done));
    body(row, done, run);
    done += run;
  }
}

template <class T>
T LoadElement(const std::byte* raw, size_t i) {
  T value;
  std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
inline constexpr T kMagnitudeMask = static_cast<T>(~T{0}) >> 1;

inline unsigned BinOf(std::byte q) {
  const auto value = static_cast<unsigned>(q);
  return (value & 0x80 ? 256 - value : value) & 0x7f;
}

}  // namespace qstore::scheme::bins
