// SPDX-License-Identifier: Apache-2.0
#include "codec/row_model.h"

#include <algorithm>
#include <cmath>

namespace qstore::codec {
namespace {

// How many places the assumption counts for that a row varies as all rows do.
constexpr float kScalePrior = 16;
// Places after which a row's scale is judged again.
constexpr size_t kScaleRun = 8;
// The prior of the constant.
constexpr float kConstantRidge = 8;
// A row counts for no more and no less than so many times its share.
constexpr float kMaxWeight = 64;

}  // namespace

const RowKernels& RowKernelsFor([[maybe_unused]] base::Isa isa) {
#if defined(QSTORE_X86_KERNELS)
  if (isa == base::Isa::kAvx512) return kAvx512Rows;
  if (isa == base::Isa::kAvx2) return kAvx2Rows;
#endif
  return kScalarRows;
}

RowModel::RowModel() : kernels_(RowKernelsFor(base::ActiveIsa())) {}

void RowModel::Reset(size_t width, float ridge, float unit) {
  size_ = width + 1;
  unit_ = unit;
  ridge_ = ridge;
  count_ = ridge;
  // Columns begin at whole vectors, but not all at the same place of a page.
  stride_ = (size_ + 31) / 32 * 32 + 16;
  factor_.assign(size_ * stride_, 0.0f);
  diagonal_.assign(size_, ridge * (unit * unit));
  diagonal_[0] = kConstantRidge * (unit * unit);
  deviation_.assign(size_, unit);
  inverse_.assign(size_, 1 / (unit * unit));
  mean_.resize(size_);
  values_.resize(size_);
}

void RowModel::Begin() {
  std::fill(mean_.begin(), mean_.end(), 0.0f);
  at_ = 0;
  Expect(unit_);
  squares_ = 0;
  row_scale_ = 1;
}

// Has the places behind expect what follows from the next one.
void RowModel::Expect(float value) {
  values_[at_] = value;
  const float residual = value - mean_[at_];
  residuals_[at_ % kRowColumns] = residual;
  const size_t begin = at_ / kRowColumns * kRowColumns;
  const size_t end = std::min(begin + kRowColumns, size_);
  for (size_t i = at_ + 1; i < end; ++i) mean_[i] += residual * *At(at_, i);
  ++at_;
  if (at_ == begin + kRowColumns && at_ < size_)
    kernels_.add(At(begin, end), stride_, residuals_, size_ - end, mean_.data() + end);
}

void RowModel::Put(float value) {
  const float residual = value - mean_[at_];
  squares_ += residual * residual * inverse_[at_];
  if (at_ % kScaleRun == 0) {
    row_scale_ = std::sqrt((kScalePrior + squares_) / (kScalePrior + static_cast<float>(at_)));
  }
  Expect(value);
}

void RowModel::End() {
  const float share = (kScalePrior + static_cast<float>(size_ - 1)) / (kScalePrior + squares_);
  float weight = share < kMaxWeight ? share : kMaxWeight;
  count_ += 1;
  for (size_t begin = 0; begin < size_; begin += kRowColumns) {
    const size_t end = std::min(begin + kRowColumns, size_);
    float gains[kRowColumns];
    for (size_t j = begin; j < end; ++j) {
      const float residual = values_[j];
      const float before = diagonal_[j];
      const float weighted = weight * residual;
      const float after = before + weighted * residual;
      const float gain = weighted / after;
      weight *= before / after;
      diagonal_[j] = after;
      inverse_[j] = count_ / after;
      deviation_[j] = std::sqrt(after / count_);
      residuals_[j - begin] = residual;
      gains[j - begin] = gain;
      for (size_t i = j + 1; i < end; ++i) {
        values_[i] -= residual * *At(j, i);
        *At(j, i) += gain * values_[i];
      }
    }
    if (end < size_)
      kernels_.revise(residuals_, gains, stride_, size_ - end, At(begin, end),
                      values_.data() + end);
  }
}

}  // namespace qstore::codec
