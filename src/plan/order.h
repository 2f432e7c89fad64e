// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "scheme/tensor_table.h"

namespace qstore::plan {

/// The order in which variants are stored, as indices into `variants`: quantized ones first, among
/// equals fewer tensor bytes first, then the given order.
std::vector<size_t> OrderVariants(std::span<const scheme::TensorTable* const> variants);

}  // namespace qstore::plan
