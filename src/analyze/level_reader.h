// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// A 16-bit float's pattern as a number that grows with its value: +0 after -0, NaN outermost.
constexpr uint16_t OrdinalOf(uint16_t pattern) {
  return static_cast<uint16_t>((pattern & 0x8000) != 0 ? ~pattern : pattern | 0x8000);
}

/// Reads the weights of a level some rows at a time, as symbols: of floats their ordinals, of
/// LLM.int8() the bytes, of GPTQ the unpacked integers. Not thread-safe.
class LevelReader {
 public:
  explicit LevelReader(const Level* level) : level_(*level) {}

  /// Rows [row, row + rows) as `symbols` [rows][ins].
  Status Read(uint64_t row, uint64_t rows, std::vector<uint16_t>* symbols);

  /// Rows to be read together: about a million weights.
  static uint64_t BandRows(const Level& level);

 private:
  Status ReadGptq(uint64_t row, size_t rows, std::vector<uint16_t>* symbols);

  const Level& level_;
  std::vector<uint8_t> words_;
  std::vector<uint8_t> values_;
};

/// The scales of a quantized level by number, so that equal scales have equal numbers.
class ScaleTable {
 public:
  /// Errors: those of reading; kInvalidArgument, a g_idx that names no group.
  static Result<ScaleTable> Read(const Level& level);

  /// How many different scales there are.
  size_t count() const { return weights_.size(); }
  /// How many weights have this scale.
  uint64_t weights(size_t scale) const { return weights_[scale]; }
  uint64_t groups() const { return groups_; }
  /// The number of the scale of a group of a row.
  uint32_t scale(uint64_t row, uint64_t group) const { return scales_[group * outs_ + row]; }
  /// The group of every weight of a row; empty when there is one group.
  const std::vector<uint32_t>& group_of() const { return group_of_; }

 private:
  Status ReadGroups(const Level& level);
  Status ReadScales(const Level& level);

  uint64_t outs_ = 0;
  uint64_t groups_ = 1;
  std::vector<uint32_t> scales_;    // [groups][outs]
  std::vector<uint32_t> group_of_;  // [ins]
  std::vector<uint64_t> weights_;
};

}  // namespace qstore::analyze
