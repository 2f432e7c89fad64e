// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// The loops of RowModel, compiled for one instruction set each. Every step is a single operation
// for each element, so that all give the same results.

namespace qstore::codec {

/// Columns that are taken together.
inline constexpr size_t kRowColumns = 8;

struct RowKernels {
  /// For each column in order: sums += factors[c] * (columns + c * stride), of n elements.
  void (*add)(const float* columns, size_t stride, const float* factors, size_t n, float* sums);
  /// For each column in order: values -= factors[c] * column, then column += gains[c] * values.
  void (*revise)(const float* factors, const float* gains, size_t stride, size_t n, float* columns,
                 float* values);
};

extern const RowKernels kScalarRows;
extern const RowKernels kAvx2Rows;
extern const RowKernels kAvx512Rows;

}  // namespace qstore::codec
