// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qstore::analyze {

/// What the symbols of one alphabet cost under an optimal prefix code of their own.
struct CodeCost {
  uint64_t code_bits = 0;   ///< Of the coded symbols, filled up to whole bytes.
  uint64_t table_bits = 0;  ///< Of a table that lets a reader make the code again.
  double entropy_bits = 0;  ///< Their count times the entropy of their distribution.
};

/// The table counted here: the number of symbols that occur, and for each its pattern and the
/// length of its code, of which the canonical code follows.
inline constexpr uint64_t kTableCountBits = 16;
inline constexpr uint64_t kTableLengthBits = 6;

/// Computes costs. Holds memory that is used again; not thread-safe.
class HuffmanCost {
 public:
  /// `counts` are those of the symbols that occur, all 1 or more, in the order of the symbols;
  /// their sum is below 2^40, their number below 2^20. A symbol that says "end" with count 1 takes
  /// part in the code, as in the research prototype's coder (dahuffman), and breaks ties as there,
  /// so that code_bits is exactly 8 times the length of what that coder writes.
  CodeCost Of(std::span<const uint64_t> counts, unsigned symbol_bits);

 private:
  std::vector<uint64_t> heap_;
};

/// Of a whole histogram, zeros included.
CodeCost CostOfHistogram(std::span<const uint64_t> histogram, unsigned symbol_bits);

}  // namespace qstore::analyze
