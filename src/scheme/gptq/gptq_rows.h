// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "codec/kernels/kernels.h"
#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_tensor.h"

namespace qstore::scheme {

constexpr unsigned MantissaBits(DType dtype) { return dtype == DType::kBF16 ? 7 : 10; }

/// A GPTQ parent's integers, scales and zero points for the rows of a chunk of 16-bit values of
/// type `dtype`, each row's inputs in the order of their groups.
class GptqRows {
 public:
  /// Inputs of one group in the order of groups.
  struct GroupRun {
    uint32_t group;
    size_t begin;
    size_t end;
  };

  GptqRows(DType dtype, const GptqTensor& parent, uint64_t first_row, size_t rows,
           GptqScratch* scratch)
      : dtype_(dtype), parent_(parent), first_row_(first_row), rows_(rows), scratch_(*scratch) {}

  /// Reads all but zero points. Errors: kCorrupt, groups that make no sense.
  Status Prepare();
  void SetZeros(GptqZeros zeros);

  size_t rows() const { return rows_; }
  size_t inputs() const { return parent_.shape.inputs; }
  /// Whether the inputs are in the order of groups as they are.
  bool is_ordered() const { return is_ordered_; }
  std::span<const GroupRun> runs() const { return runs_; }
  const uint8_t* q(size_t row) const { return scratch_.q.data() + row * pitch_; }
  float scale(size_t row, uint32_t group) const { return scratch_.scales[group * rows_ + row]; }
  int32_t zero(size_t row, uint32_t group) const { return scratch_.zeros[group * rows_ + row]; }

  codec::ResidualRun Run(size_t row, const GroupRun& of, unsigned width) const;

  /// Rows of 16-bit values, from the order of inputs to that of groups and back.
  void ToGroups(const uint8_t* in, uint8_t* out) const { Reorder<true>(in, out); }
  void ToInputs(const uint8_t* in, uint8_t* out) const { Reorder<false>(in, out); }

 private:
  void OrderInputs();
  void Unpack();

  template <bool kToGroups>
  void Reorder(const uint8_t* in, uint8_t* out) const {
    const uint32_t* rank = scratch_.rank.data();
    for (size_t i = 0; i < inputs(); ++i) {
      const size_t from = kToGroups ? i : rank[i];
      const size_t to = kToGroups ? rank[i] : i;
      std::memcpy(out + 2 * to, in + 2 * from, 2);
    }
  }

  DType dtype_;
  const GptqTensor& parent_;
  uint64_t first_row_;
  size_t rows_;
  GptqScratch& scratch_;
  std::vector<GroupRun> runs_;
  bool is_ordered_ = true;
  size_t pitch_ = 0;
};

}  // namespace qstore::scheme
