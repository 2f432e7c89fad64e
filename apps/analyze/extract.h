// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

struct RowRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// About `wanted` of `rows` rows, at least kWeightRows, in runs spread evenly, which begin at
/// multiples of that; all when `wanted` is not less.
std::vector<RowRange> SampleRows(uint64_t rows, uint64_t wanted);

/// Writes the layer as `variant` has it, restricted to `rows` that SampleRows gave, to
/// `directory`/model.safetensors, a model of its own under the same names of tensors, and returns
/// the layer as that model has it. Copies piece by piece. Errors: kIo, kSourceChanged, kLimit.
Result<LayerVariant> ExtractLayer(const LayerVariant& variant, const std::vector<RowRange>& rows,
                                  const std::filesystem::path& directory);

}  // namespace qstore::analyze
