// SPDX-License-Identifier: Apache-2.0
#include "scheme/mlx/mlx.h"

#include <utility>

#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kCodes = "weight";
constexpr std::string_view kScale = "scales";
constexpr std::string_view kBias = "biases";

constexpr std::pair<unsigned, RoundingRule> kRules[] = {
    {4, RoundingRule::kAffine4}, {8, RoundingRule::kAffine8}, {6, RoundingRule::kAffine6},
    {3, RoundingRule::kAffine3}, {5, RoundingRule::kAffine5}, {2, RoundingRule::kAffine2}};

class Affine final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kCodes)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kScale)) return GridPartName{*module, GridPart::kScales};
    if (const auto module = ModuleOf(name, kBias)) return GridPartName{*module, GridPart::kZeros};
    return std::nullopt;
  }

  // The config names the bits. Without it, any bits with which groups are of a size in use.
  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kCodes);
    const auto scales = FindIn(table, module, kScale);
    const auto biases = FindIn(table, module, kBias);
    if (!codes || !scales || !biases) return {};
    const TensorDesc code = table.tensor(*codes);
    const TensorDesc scale = table.tensor(*scales);
    if (code.dtype != DType::kU32 || code.shape.size() < 2 || scale.shape.size() < 2 ||
        !SameShape(scale, table.tensor(*biases)) || table.tensor(*biases).dtype != scale.dtype ||
        scale.shape.back() == 0) {
      return {};
    }
    std::vector<GridTensors> readings;
    const uint64_t row_bits = 32 * code.shape.back();
    for (const auto& [bits, rule] : kRules) {
      for (const uint64_t width : {32, 64, 128}) {
        const uint64_t columns = scale.shape.back() * width;
        if (columns * bits != row_bits) continue;
        const uint64_t rows = ElementCount(code.shape) / code.shape.back();
        if (ElementCount(scale.shape) / scale.shape.back() != rows) continue;
        GridTensors tensors;
        tensors.rules = {rule};
        tensors.groups = {1, width, columns};
        tensors.elem_count = rows * columns;
        tensors.codes = *codes;
        tensors.scales = scales;
        tensors.zeros = biases;
        readings.push_back(std::move(tensors));
      }
    }
    return readings;
  }
};

}  // namespace

const GridFormat& Mlx() {
  static const Affine kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
