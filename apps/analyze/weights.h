// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// A 16-bit float's pattern as a number that grows with its value: +0 after -0, NaN outermost.
constexpr uint16_t OrdinalOf(uint16_t pattern) {
  return static_cast<uint16_t>((pattern & 0x8000) != 0 ? ~pattern : pattern | 0x8000);
}

/// Rows [row, row + rows) of the weights as `symbols` [rows][columns]: of floats their ordinals, of
/// others their codes.
Status ReadSymbols(const LayerVariant& variant, uint64_t row, uint64_t rows,
                   std::vector<uint16_t>* symbols);

/// Rows to be read together: about a million weights.
uint64_t BandRows(const LayerVariant& variant);

/// The scales of a quantized variant by number, so that equal scales have equal numbers.
class ScaleTable {
 public:
  /// Errors: those of Checkpoint::ReadScales.
  static Result<ScaleTable> Read(const LayerVariant& variant);

  /// How many different scales there are.
  size_t count() const { return weights_.size(); }
  /// How many weights have this scale.
  uint64_t weights(size_t scale) const { return weights_[scale]; }
  uint64_t groups() const { return groups_; }
  /// The number of the scale of a group of a row.
  uint32_t scale(uint64_t row, uint64_t group) const { return scales_[group * rows_ + row]; }
  /// The group of every weight of a row; empty when there is one group.
  const std::vector<uint32_t>& group_of() const { return group_of_; }

 private:
  uint64_t rows_ = 0;
  uint64_t groups_ = 1;
  std::vector<uint32_t> scales_;    // [groups][rows]
  std::vector<uint32_t> group_of_;  // [columns]
  std::vector<uint64_t> weights_;
};

}  // namespace qstore::analyze
