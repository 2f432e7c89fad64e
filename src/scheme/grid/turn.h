// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qstore/dtype.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// The bytes of a region, its runs end to end: those of `parent`, or in `scratch` where it has
/// more.
std::span<const std::byte> GatherRuns(const ParentContent& parent, const Region& need,
                                      std::vector<std::byte>* scratch);

/// Numbers of F16 or BF16 weights that lie by row, in the order of columns. Subnormals count as
/// zeros.
void TurnColumns(DType dtype, std::span<const std::byte> weights, size_t rows, size_t columns,
                 float* out);

}  // namespace qstore::scheme
