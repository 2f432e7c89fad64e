// SPDX-License-Identifier: Apache-2.0
#include "scheme/mlx/mlx.h"

#include <utility>

#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

constexpr std::pair<unsigned, RoundingRule> kRules[] = {
    {4, RoundingRule::kAffine4}, {8, RoundingRule::kAffine8}, {6, RoundingRule::kAffine6},
    {3, RoundingRule::kAffine3}, {5, RoundingRule::kAffine5}, {2, RoundingRule::kAffine2}};

class Affine final : public NamedFormat {
 public:
  Affine() : NamedFormat({"weight", "scales", "biases"}) {}

 private:
  // The config names the bits. Without it, any bits with which groups are of a size in use.
  std::vector<GridTensors> Read(const Found& found) const override {
    const auto biases = found.Other("biases");
    if (!biases) return {};
    const TensorDesc& code = found.codes;
    const TensorDesc& scale = found.scales;
    const TensorDesc bias = found.table.tensor(*biases);
    if (code.dtype != DType::kU32 || code.shape.size() < 2 || scale.shape.size() < 2 ||
        !SameShape(scale, bias) || bias.dtype != scale.dtype || scale.shape.back() == 0) {
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
        GridTensors tensors = found.tensors;
        tensors.rules.assign(1, rule);
        tensors.groups = {1, width, columns};
        tensors.elem_count = rows * columns;
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
