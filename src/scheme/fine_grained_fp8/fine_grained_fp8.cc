// SPDX-License-Identifier: Apache-2.0
#include "scheme/fine_grained_fp8/fine_grained_fp8.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kWeight = "weight";
constexpr std::string_view kScale = "weight_scale_inv";

class Format final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kWeight)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kScale)) return GridPartName{*module, GridPart::kScales};
    return std::nullopt;
  }

  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kWeight);
    const auto scales = FindIn(table, module, kScale);
    if (!codes || !scales) return {};
    const TensorDesc code = table.tensor(*codes);
    const TensorDesc scale = table.tensor(*scales);
    if (code.dtype != DType::kF8E4M3 || scale.dtype != DType::kF32 || code.shape.size() < 2 ||
        scale.shape.size() < 2 || ElementCount(code.shape) == 0) {
      return {};
    }
    const uint64_t columns = code.shape.back();
    const uint64_t rows = ElementCount(code.shape) / columns;
    const auto block = BlockOf(rows, columns, scale.shape);
    if (!block) return {};
    GridTensors tensors;
    tensors.rules = {RoundingRule::kE4m3Inverse};
    tensors.groups = *block;
    tensors.elem_count = rows * columns;
    tensors.codes = *codes;
    tensors.scales = scales;
    return {tensors};
  }

 private:
  // The config names the block; of those in use the first that fits the shapes.
  static std::optional<Groups> BlockOf(uint64_t rows, uint64_t columns,
                                       std::span<const uint64_t> scales) {
    const uint64_t per_row = scales.back();
    if (per_row == 0) return std::nullopt;
    const uint64_t block_rows = ElementCount(scales) / per_row;
    for (const uint64_t side : {uint64_t{128}, uint64_t{64}, uint64_t{256}}) {
      if (per_row == (columns + side - 1) / side && block_rows == (rows + side - 1) / side) {
        return Groups{side, std::min(side, columns), columns};
      }
    }
    if (per_row == 1 && block_rows == rows) return Groups{1, columns, columns};
    if (per_row == 1 && block_rows == 1) return Groups{rows, columns, columns};
    return std::nullopt;
  }
};

}  // namespace

const GridFormat& FineGrainedFp8() {
  static const Format kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
