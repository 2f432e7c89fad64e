// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/grid_shapes.h"

#include <algorithm>
#include <string>

#include "scheme/tensor_table.h"

namespace qstore::scheme {

Matrix MatrixOf(std::span<const uint64_t> shape, uint64_t per_elem) {
  const uint64_t columns = shape.back();
  const uint64_t rows = columns == 0 ? 0 : ElementCount(shape) / columns;
  return {rows, columns * per_elem};
}

std::optional<Groups> GroupsOf(const Matrix& matrix, std::span<const uint64_t> scales) {
  constexpr uint64_t kBlock = 128;
  const uint64_t count = ElementCount(scales);
  if (matrix.columns == 0 || count == 0) return std::nullopt;
  if (count == 1) return Groups{matrix.rows, matrix.columns, matrix.columns};
  if (scales.size() < 2) return std::nullopt;
  const uint64_t per_row = scales.back();
  if (count / per_row == matrix.rows) {
    const uint64_t width = (matrix.columns + per_row - 1) / per_row;
    return Groups{1, width, matrix.columns};
  }
  const bool is_blocks = per_row == (matrix.columns + kBlock - 1) / kBlock &&
                         count / per_row == (matrix.rows + kBlock - 1) / kBlock;
  if (!is_blocks) return std::nullopt;
  return Groups{kBlock, std::min(kBlock, matrix.columns), matrix.columns};
}

Status CheckWholeGroups(std::string_view dimension, uint64_t size, uint64_t group) {
  if (size % group == 0) return {};
  return InvalidArgument("its " + std::to_string(size) + " " + std::string(dimension) +
                         " are no multiple of " + std::to_string(group));
}

}  // namespace qstore::scheme
