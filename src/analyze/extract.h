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

/// Rows of a sample begin and end at multiples of this (but for the last row), so that packed zero
/// points of any width can be divided there.
inline constexpr uint64_t kSampleRows = 32;

/// About `wanted` of `rows` rows, at least kSampleRows, in runs spread evenly; all when `wanted` is
/// not less.
std::vector<RowRange> SampleRows(uint64_t rows, uint64_t wanted);

/// Writes the layer as `level` has it, restricted to `rows`, to `directory`/model.safetensors, a
/// model of its own under the same names of tensors, and returns the level as that file has it.
/// Copies piece by piece. Errors: kIo, kSourceChanged, kLimit.
Result<Level> ExtractLevel(const Level& level, const std::vector<RowRange>& rows,
                           const std::filesystem::path& directory);

}  // namespace qstore::analyze
