// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "qstore/checkpoint.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

// What a scheme tells of a model that is not packed: which tensors make a matrix of weights, and
// what is in them. Public by <qstore/checkpoint.h>, which says what the words mean.

namespace qstore::scheme {

struct MatrixShape {
  unsigned bits = 0;
  uint64_t rows = 0;
  uint64_t columns = 0;
  uint64_t groups = 1;
};

/// Reads bytes of a part of a matrix, by its place among the parts.
using PartReader = std::function<Status(size_t part, uint64_t offset, std::span<std::byte> out)>;

/// A matrix of quantized weights; tensors of parts are positions in the table it was found in.
/// Immutable; threads may share it.
class QuantizedWeights {
 public:
  QuantizedWeights(const MatrixShape& shape, std::vector<WeightPart> parts)
      : shape_(shape), parts_(std::move(parts)) {}
  virtual ~QuantizedWeights() = default;
  QuantizedWeights(const QuantizedWeights&) = delete;
  QuantizedWeights& operator=(const QuantizedWeights&) = delete;

  const MatrixShape& shape() const { return shape_; }
  std::span<const WeightPart> parts() const { return parts_; }

  /// Fills `codes` with those of rows [row, row + rows). REQUIRES: there are such rows.
  virtual Status ReadCodes(const PartReader& read, uint64_t row, uint64_t rows,
                           std::span<uint16_t> codes) const = 0;
  /// Errors: those of `read`; kInvalidArgument, a column whose group does not exist.
  virtual Result<WeightScales> ReadScales(const PartReader& read) const = 0;

 private:
  MatrixShape shape_;
  std::vector<WeightPart> parts_;
};

/// Why tensors are no quantized weights: the one that breaks a rule, and the rule.
struct Refusal {
  size_t tensor = 0;
  std::string rule;
};

/// The whole of a part as numbers of 16 or 32 bits.
Result<std::vector<uint32_t>> ReadPatterns(const PartReader& read, size_t part, DType dtype,
                                           uint64_t count);

}  // namespace qstore::scheme
