// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qstore/dtype.h"
#include "scheme/ggml/block_values.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/region.h"
#include "scheme/scheme.h"

// The weights that a chunk is made of: rows of the parent, in the order that the child has them.
// docs/format-ggml.md, "Weights".

namespace qstore::scheme::ggml {

/// Weights of the child, from `first` on.
struct WeightRange {
  uint64_t first = 0;
  uint64_t count = 0;
};

/// Of `room`, where a matrix is transposed.
inline constexpr uint64_t kTransposingBytes = uint64_t{64} * 68 * sizeof(float);

/// Bytes of the parent that have these weights; of a transposed one, their rows.
Region RegionOf(const GgmlParams& params, uint64_t weight_count, const WeightRange& range);

/// Fills `weights` with those of the range, from the bytes that RegionOf says, or a transposed
/// parent that is whole.
void TakeWeights(const GgmlParams& params, uint64_t weight_count, const WeightRange& range,
                 const ParentContent& given, ValueScratch* scratch, std::vector<float>* room,
                 std::span<float> weights);

}  // namespace qstore::scheme::ggml
