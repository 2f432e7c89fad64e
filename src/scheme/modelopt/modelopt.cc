// SPDX-License-Identifier: Apache-2.0
#include "scheme/modelopt/modelopt.h"

#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kCodes = "weight";
constexpr std::string_view kScale = "weight_scale";
constexpr std::string_view kGlobal = "weight_scale_2";

class Nvfp4 final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kCodes)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kScale)) return GridPartName{*module, GridPart::kScales};
    return std::nullopt;
  }

  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kCodes);
    const auto scales = FindIn(table, module, kScale);
    const auto global = FindIn(table, module, kGlobal);
    if (!codes || !scales || !global) return {};
    const TensorDesc code = table.tensor(*codes);
    if (code.dtype != DType::kU8 || code.shape.size() < 2) return {};
    const Matrix matrix = MatrixOf(code.shape, 2);
    const auto groups = GroupsOf(matrix, table.tensor(*scales).shape);
    if (!groups) return {};
    GridTensors tensors;
    tensors.rules = {RoundingRule::kNvfp4Product};
    tensors.groups = *groups;
    tensors.elem_count = matrix.rows * matrix.columns;
    tensors.codes = *codes;
    tensors.scales = scales;
    tensors.global = global;
    return {tensors};
  }
};

}  // namespace

const GridFormat& ModeloptNvfp4() {
  static const Nvfp4 kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
