// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/isa.h"
#include "codec/kernels/row_kernels.h"

namespace qstore::codec {

/// The loops of the class below. All give the same results.
const RowKernels& RowKernelsFor(base::Isa isa);

/// What is expected of each value of a row, given the rows before it and the values before it in
/// its own: a normal distribution for which the covariance of the variables (places in a row) is
/// learned row by row. Its factors L D L' are kept up to date as by Gill, Golub, Murray and
/// Saunders (1974), method C1. All steps are single operations in binary32, so that encoder and
/// decoder agree wherever they run. docs/format-coding.md, "Row model".
///
/// For each row: Begin, then for each place in order mean(), deviation() and Put, then End.
class RowModel {
 public:
  RowModel();
  /// Forgets everything. `width` places in a row; `ridge` (at least 1) says how many rows the prior
  /// counts for, by which all places are independent with standard deviation `unit`.
  void Reset(size_t width, float ridge, float unit);

  void Begin();
  float mean() const { return mean_[at_]; }
  float deviation() const { return deviation_[at_] * row_scale_; }
  void Put(float value);
  void End();

 private:
  void Expect(float value);

  // Variable 0 is the constant `unit_`, so that places may have means; place i is variable i + 1.
  float* At(size_t j, size_t i) { return factor_.data() + j * stride_ + i; }

  const RowKernels& kernels_;
  size_t size_ = 0;
  size_t stride_ = 0;
  size_t at_ = 0;
  float unit_ = 1;
  float ridge_ = 1;
  float count_ = 1;               // Rows seen, the prior's among them.
  float squares_ = 0;             // Of the row's residuals, in units of their deviations.
  float row_scale_ = 1;           // Deviations of this row against those of all.
  std::vector<float> factor_;     // By columns of L, used below the diagonal.
  std::vector<float> diagonal_;   // D, times count_.
  std::vector<float> deviation_;  // Square root of diagonal_ / count_.
  std::vector<float> inverse_;    // count_ / diagonal_.
  float residuals_[kRowColumns];  // Of the last places.
  std::vector<float> mean_;
  std::vector<float> values_;
};

}  // namespace qstore::codec
