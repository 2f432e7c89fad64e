// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// What the weights of one variant cost when those of a quantized one are known, by the method of
/// the research prototype: the weights of one scale (its exact pattern, anywhere in the layer) and
/// one quantized integer make a group, and each group has a Huffman code of its own.
struct ConditionalCost {
  uint64_t scales = 0;      ///< Different scales.
  uint64_t groups = 0;      ///< Groups that occur.
  uint64_t code_bits = 0;   ///< Each group filled up to bytes; a group of one weight: as it is.
  uint64_t table_bits = 0;  ///< Of the codes' tables, which the prototype does not count.
  double entropy_bits = 0;  ///< Weights times the conditional entropy: no code needs less.
};

/// REQUIRES: layers of one shape, `given` quantized. Takes about `memory` bytes, 160 MiB where one
/// scale alone has more weights than fit, and reads both once for every `memory` / 5
/// weights. `check` is called every million weights or so; its error ends the work. Errors: those
/// of reading; kInvalidArgument, a g_idx that names no group.
Result<ConditionalCost> CostGiven(const LayerVariant& target, const LayerVariant& given,
                                  uint64_t memory, const std::function<Status()>& check);

}  // namespace qstore::analyze
