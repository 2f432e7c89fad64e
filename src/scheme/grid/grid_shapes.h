// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "qstore/status.h"
#include "scheme/grid/groups.h"

// What the shapes of codes and scales say, as most formats have them.

namespace qstore::scheme {

/// Rows and columns of weights: all dimensions before the last are rows.
struct Matrix {
  uint64_t rows = 0;
  uint64_t columns = 0;
};
/// Of codes of which there are `per_elem` in an element.
Matrix MatrixOf(std::span<const uint64_t> shape, uint64_t per_elem);

/// The groups that scales of that shape are of: one scale for all; as many in a row as there are
/// groups of columns; or blocks of 128 by 128, where there are fewer rows of scales than of
/// weights.
std::optional<Groups> GroupsOf(const Matrix& matrix, std::span<const uint64_t> scales);

/// Errors: kInvalidArgument, where a dimension of weights is cut into groups that are not whole.
Status CheckWholeGroups(std::string_view dimension, uint64_t size, uint64_t group);

}  // namespace qstore::scheme
