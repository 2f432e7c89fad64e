// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/round.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/predictor.h"

namespace qstore::scheme {

/// Makes the tensors of a format of a matrix of weights, as <qstore/round.h> says.
/// Thread-safety: all member functions may be called from many threads at once.
class GridMaker {
 public:
  /// Errors: kInvalidArgument, as Rounder::Create.
  static Result<GridMaker> Create(std::string_view made_name, const TensorDesc& weights);

  const std::vector<MadeTensor>& tensors() const { return made_.tensors; }
  uint64_t unit() const;
  bool needs_peak() const { return made_.has_one_scale || made_.global != nullptr; }
  Result<float> PeakOf(std::span<const std::byte> weights) const;
  Result<std::vector<RoundedPart>> Round(uint64_t first, std::span<const std::byte> weights,
                                         float peak) const;

 private:
  GridMaker(MadeMatrix made, const TensorDesc& weights);
  Status CheckPiece(uint64_t first, std::span<const std::byte> weights) const;
  RoundedPart Codes(const GroupRange& range, std::span<const std::byte> weights,
                    const SidesOf<ParentContent>& sides) const;
  RoundedPart Scales(const GroupRange& range, std::span<const std::byte> weights,
                     const SidesOf<ParentContent>& sides) const;

  MadeMatrix made_;
  std::string name_;  // Of the weights.
  DType dtype_;
  uint64_t elem_count_;
};

/// All names by which some format makes copies.
std::span<const std::string_view> MadeNames();

}  // namespace qstore::scheme
