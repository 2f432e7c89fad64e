// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_tensor.h"

// What the two directions of the coder of GPTQ integers share. docs/format-coding.md, "GPTQ
// integers".

namespace qstore::scheme::gptq {

/// Most low bits of a residual, which is coded as a nibble and what lies below it.
inline unsigned MostWidth(unsigned bits) { return bits > 4 ? bits - 4 : 0; }

/// Inputs in a chunk of packed integers.
inline size_t RowCount(std::span<const std::byte> raw, const GptqShape& shape) {
  return 8 * raw.size() / (shape.outputs * shape.bits);
}

/// Scales and zero points of one tensor, read group by group when they are first asked for.
class Groups {
 public:
  Groups(const GptqTensor& tensor, std::vector<float>* scales, std::vector<uint8_t>* zeros)
      : tensor_(tensor), scales_(*scales), zeros_(*zeros) {
    const size_t outputs = tensor.shape.outputs;
    scales_.resize(tensor.shape.groups * outputs);
    zeros_.resize(tensor.shape.groups * outputs);
    has_scales_.assign(tensor.shape.groups, false);
    has_zeros_.assign(tensor.shape.groups, false);
  }
  void SetZeros(GptqZeros zeros) {
    meaning_ = zeros;
    has_zeros_.assign(has_zeros_.size(), false);
  }
  const float* scales(uint32_t group) {
    const size_t outputs = tensor_.shape.outputs;
    float* const scales = &scales_[group * outputs];
    if (!has_scales_[group]) ReadScales(tensor_, group, 0, outputs, scales);
    has_scales_[group] = true;
    return scales;
  }
  const uint8_t* zeros(uint32_t group) {
    const size_t outputs = tensor_.shape.outputs;
    uint8_t* const zeros = &zeros_[group * outputs];
    if (!has_zeros_[group]) ReadZeros(tensor_, meaning_, group, 0, outputs, zeros);
    has_zeros_[group] = true;
    return zeros;
  }

  const GptqTensor& tensor() const { return tensor_; }

 private:
  const GptqTensor& tensor_;
  std::vector<float>& scales_;
  std::vector<uint8_t>& zeros_;
  std::vector<bool> has_scales_;
  std::vector<bool> has_zeros_;
  GptqZeros meaning_ = GptqZeros::kPlain;
};

/// The inputs of a chunk, each a row of all outputs, with what predicts them.
class Inputs {
 public:
  Inputs(uint64_t first, size_t rows, const GptqTensor& own, const GptqTensor& parent,
         GptqScratch* scratch)
      : first_(first),
        rows_(rows),
        columns_(own.shape.outputs),
        bits_(own.shape.bits),
        own_(own, &scratch->own_scales, &scratch->own_zeros),
        parent_(parent, &scratch->scales, &scratch->zeros),
        scratch_(*scratch),
        ratio_(columns_) {}

  Status Prepare(const GptqTensor& own, const GptqTensor& parent,
                 std::span<const std::byte> parent_words) {
    QSTORE_TRY(ReadGroups(own, &scratch_.own_group_of));
    QSTORE_TRY(ReadGroups(parent, &scratch_.group_of));
    scratch_.q.resize(rows_ * columns_);
    codec::ActiveKernels().unpack_inputs(reinterpret_cast<const uint8_t*>(parent_words.data()),
                                         parent.shape.bits, rows_, columns_, scratch_.q.data());
    return {};
  }

  void SetZeros(GptqZeros own, GptqZeros parent) {
    own_.SetZeros(own);
    parent_.SetZeros(parent);
  }

  // Whether zero points meant in words differ from others for some of the rows.
  bool OwnCarry(std::span<const size_t> rows) const {
    return AnyCarry(own_.tensor(), scratch_.own_group_of, rows);
  }
  bool ParentCarry(std::span<const size_t> rows) const {
    return AnyCarry(parent_.tensor(), scratch_.group_of, rows);
  }

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  const uint8_t* parent_q(size_t row) const { return scratch_.q.data() + row * columns_; }

  codec::IntegerRun Run(size_t row, unsigned width) {
    const uint32_t own = scratch_.own_group_of[first_ + row];
    const uint32_t parent = scratch_.group_of[first_ + row];
    const codec::IntegerRun run{ratio_.data(), parent_.zeros(parent), own_.zeros(own), bits_,
                                width};
    if (!has_ratio_ || own != ratio_own_ || parent != ratio_parent_) {
      const float* over = parent_.scales(parent);
      const float* under = own_.scales(own);
      for (size_t c = 0; c < columns_; ++c) ratio_[c] = under[c] != 0 ? over[c] / under[c] : 0.0f;
      ratio_own_ = own;
      ratio_parent_ = parent;
      has_ratio_ = true;
    }
    return run;
  }

 private:
  bool AnyCarry(const GptqTensor& tensor, const std::vector<uint32_t>& group_of,
                std::span<const size_t> rows) const {
    return std::any_of(rows.begin(), rows.end(),
                       [&](size_t row) { return ZerosCarry(tensor, group_of[first_ + row]); });
  }

  uint64_t first_;
  size_t rows_;
  size_t columns_;
  unsigned bits_;
  Groups own_;
  Groups parent_;
  GptqScratch& scratch_;
  std::vector<float> ratio_;  // By column, of the last groups asked for.
  uint32_t ratio_own_ = 0;
  uint32_t ratio_parent_ = 0;
  bool has_ratio_ = false;
};

}  // namespace qstore::scheme::gptq
