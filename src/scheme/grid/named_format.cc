// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/named_format.h"

#include <utility>

#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {

std::optional<GridPartName> NamedFormat::PartOf(std::string_view name) const {
  const std::pair<std::string_view, GridPart> parts[] = {{names_.codes, GridPart::kCodes},
                                                         {names_.scales, GridPart::kScales},
                                                         {names_.zeros, GridPart::kZeros}};
  for (const auto& [tensor, part] : parts) {
    if (tensor.empty()) continue;
    if (const auto module = ModuleOf(name, tensor)) return GridPartName{*module, part};
  }
  return std::nullopt;
}

std::vector<GridTensors> NamedFormat::Find(std::string_view module,
                                           const TensorTable& table) const {
  const auto codes = FindIn(table, module, names_.codes);
  const auto scales = FindIn(table, module, names_.scales);
  if (!codes || !scales) return {};
  Found found{module, table, table.tensor(*codes), table.tensor(*scales), {}};
  found.tensors.codes = *codes;
  found.tensors.scales = scales;
  return Read(found);
}

std::vector<GridTensors> NamedFormat::Only(GridTensors tensors) {
  std::vector<GridTensors> readings;
  readings.push_back(std::move(tensors));
  return readings;
}

std::vector<GridTensors> NamedFormat::ByShapes(const Found& found, GridTensors tensors,
                                               uint64_t per_elem) {
  if (found.codes.shape.size() < 2) return {};
  const Matrix matrix = MatrixOf(found.codes.shape, per_elem);
  const auto groups = GroupsOf(matrix, found.scales.shape);
  if (!groups) return {};
  tensors.groups = *groups;
  tensors.elem_count = matrix.rows * matrix.columns;
  return {std::move(tensors)};
}

std::vector<GridTensors> BytesFormat::Read(const Found& found) const {
  GridTensors tensors = found.tensors;
  if (found.codes.dtype == DType::kI8) tensors.rules = of_i8_;
  if (found.codes.dtype == DType::kF8E4M3) tensors.rules = of_f8_e4m3_;
  if (tensors.rules.empty()) return {};
  std::vector<GridTensors> readings = ByShapes(found, tensors, 1);
  const bool may_have_zeros = of_i8_with_zeros_ && found.codes.dtype == DType::kI8;
  const auto zeros = may_have_zeros ? found.Other(names().zeros) : std::nullopt;
  if (!zeros || found.table.tensor(*zeros).dtype != DType::kI8) return readings;
  // Those of zero points are tried first. They may all be 0, of a rule that has none.
  tensors.zeros = zeros;
  tensors.rules = {*of_i8_with_zeros_};
  std::vector<GridTensors> with_zeros = ByShapes(found, std::move(tensors), 1);
  readings.insert(readings.begin(), with_zeros.begin(), with_zeros.end());
  return readings;
}

}  // namespace qstore::scheme
