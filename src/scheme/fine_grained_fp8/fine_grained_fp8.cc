// SPDX-License-Identifier: Apache-2.0
#include "scheme/fine_grained_fp8/fine_grained_fp8.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "scheme/grid/grid_shapes.h"
#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kMadeNames[] = {"fp8-fine-grained"};

class Format final : public NamedFormat {
 public:
  Format() : NamedFormat({"weight", "weight_scale_inv"}) {}

  std::span<const std::string_view> MadeNames() const override { return kMadeNames; }

  Result<MadeMatrix> Make(std::string_view, const TensorDesc& weights) const override {
    constexpr uint64_t kBlock = 128;
    const uint64_t rows = weights.shape[0];
    const uint64_t columns = weights.shape[1];
    QSTORE_TRY(CheckWholeGroups("rows", rows, kBlock));
    QSTORE_TRY(CheckWholeGroups("columns", columns, kBlock));
    using Content = MadeTensor::Content;
    MadeMatrix made;
    made.rule = RoundingRule::kE4m3Inverse;
    made.groups = {kBlock, kBlock, columns};
    made.tensors = {
        {Content::kCodes, "weight", DType::kF8E4M3, {rows, columns}, {}},
        {Content::kScales, "weight_scale_inv", DType::kF32, {rows / kBlock, columns / kBlock}, {}}};
    return made;
  }

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    const TensorDesc& code = found.codes;
    const TensorDesc& scale = found.scales;
    if (code.dtype != DType::kF8E4M3 || scale.dtype != DType::kF32 || code.shape.size() < 2 ||
        scale.shape.size() < 2 || ElementCount(code.shape) == 0) {
      return {};
    }
    const uint64_t columns = code.shape.back();
    const uint64_t rows = ElementCount(code.shape) / columns;
    const auto block = BlockOf(rows, columns, scale.shape);
    if (!block) return {};
    GridTensors tensors = found.tensors;
    tensors.rules.push_back(RoundingRule::kE4m3Inverse);
    tensors.groups = *block;
    tensors.elem_count = rows * columns;
    return Only(std::move(tensors));
  }

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
