// SPDX-License-Identifier: Apache-2.0
#include "scheme/quanto/quanto.h"

#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kCodes = "weight._data";
constexpr std::string_view kScale = "weight._scale";

class QuantoFormat final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kCodes)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kScale)) return GridPartName{*module, GridPart::kScales};
    return std::nullopt;
  }

  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kCodes);
    const auto scales = FindIn(table, module, kScale);
    if (!codes || !scales) return {};
    const TensorDesc code = table.tensor(*codes);
    if (code.shape.size() < 2) return {};
    const Matrix matrix = MatrixOf(code.shape, 1);
    const auto groups = GroupsOf(matrix, table.tensor(*scales).shape);
    if (!groups) return {};
    GridTensors tensors;
    if (code.dtype == DType::kI8) {
      tensors.rules = {RoundingRule::kInt8Whole};
    } else if (code.dtype == DType::kF8E4M3) {
      tensors.rules = {RoundingRule::kE4m3};
    } else {
      return {};
    }
    tensors.groups = *groups;
    tensors.elem_count = matrix.rows * matrix.columns;
    tensors.codes = *codes;
    tensors.scales = scales;
    return {tensors};
  }
};

}  // namespace

const GridFormat& Quanto() {
  static const QuantoFormat kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
