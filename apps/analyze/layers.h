// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/checkpoint.h"
#include "qstore/pack.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// The weights of one layer in one variant.
struct LayerVariant {
  std::shared_ptr<const Checkpoint> model;
  size_t index = 0;     ///< Of the matrix there.
  WeightMatrix matrix;  ///< Names and parts belong to the model.

  uint64_t weights() const { return matrix.rows * matrix.columns; }
  bool quantized() const { return !matrix.scheme.empty(); }
  CheckpointTensor tensor(const WeightPart& part) const { return model->tensor(part.tensor); }
  /// The tensor of the weights themselves, and its file.
  CheckpointTensor codes() const { return tensor(matrix.parts[0]); }
  const CheckpointFile& file() const { return model->file(codes().file); }
};

/// One layer in all variants, or why it is not looked at.
struct Layer {
  std::string name;                    ///< Of the module.
  std::vector<LayerVariant> variants;  ///< Empty when it is not analysed.
  std::string not_analysed;            ///< The reason; empty otherwise.
  uint64_t source_bytes() const;       ///< Of all its tensors.
};

/// The kind of layer a name tells: its last two parts that are no numbers, "self_attn.q_proj".
std::string LayerType(std::string_view name);

/// The layers of the variants, by name with numbers in their order: every module that some variant
/// holds as a matrix of weights, and that one of `patterns` (`*` any run of characters, `?` one)
/// matches, or all when there are none. A layer is analysed when every variant holds it, in one
/// shape and quantized, if any layer of the variant is. Errors: those of Checkpoint::Open;
/// kInvalidArgument: names of variants, a variant without weights, no layer in common.
Result<std::vector<Layer>> FindLayers(std::span<const VariantSource> variants,
                                      std::span<const std::string> patterns);

}  // namespace qstore::analyze
