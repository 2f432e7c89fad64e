// SPDX-License-Identifier: Apache-2.0
#include "scheme/compressed_tensors/compressed_tensors.h"

#include "codec/floating.h"
#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kScale = "weight_scale";
constexpr std::string_view kZero = "weight_zero_point";
constexpr std::string_view kGlobal = "weight_global_scale";

std::optional<GridPartName> PartNamed(std::string_view name, std::string_view codes) {
  if (const auto module = ModuleOf(name, codes)) return GridPartName{*module, GridPart::kCodes};
  if (const auto module = ModuleOf(name, kScale)) return GridPartName{*module, GridPart::kScales};
  if (const auto module = ModuleOf(name, kZero)) return GridPartName{*module, GridPart::kZeros};
  return std::nullopt;
}

struct Found {
  GridTensors tensors;
  TensorDesc codes;
  TensorDesc scale;
};

std::optional<Found> FindBoth(std::string_view module, std::string_view codes_name,
                              const TensorTable& table) {
  const auto codes = FindIn(table, module, codes_name);
  const auto scales = FindIn(table, module, kScale);
  if (!codes || !scales) return std::nullopt;
  Found found;
  found.tensors.codes = *codes;
  found.tensors.scales = scales;
  found.codes = table.tensor(*codes);
  found.scale = table.tensor(*scales);
  if (found.codes.shape.size() < 2) return std::nullopt;
  return found;
}

std::vector<GridTensors> Finish(Found found, uint64_t per_elem) {
  const Matrix matrix = MatrixOf(found.codes.shape, per_elem);
  const auto groups = GroupsOf(matrix, found.scale.shape);
  if (!groups) return {};
  found.tensors.groups = *groups;
  found.tensors.elem_count = matrix.rows * matrix.columns;
  return {found.tensors};
}

class Plain final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    return PartNamed(name, "weight");
  }
  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    auto found = FindBoth(module, "weight", table);
    if (!found) return {};
    const bool is_power = found->scale.dtype == DType::kU8;
    if (!is_power && !codec::IsCodedFloat(found->scale.dtype)) return {};
    if (found->codes.dtype == DType::kF8E4M3 && is_power) {
      found->tensors.rules = {RoundingRule::kMxfp8};
    } else if (found->codes.dtype == DType::kF8E4M3) {
      found->tensors.rules = {RoundingRule::kE4m3, RoundingRule::kE4m3Wide,
                              RoundingRule::kE4m3Single, RoundingRule::kE4m3Reciprocal};
    } else if (found->codes.dtype == DType::kI8) {
      found->tensors.rules = {RoundingRule::kInt8, RoundingRule::kInt8Whole,
                              RoundingRule::kInt8Wide};
    } else {
      return {};
    }
    return Finish(*std::move(found), 1);
  }
};

class Packed final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    return PartNamed(name, "weight_packed");
  }
  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    auto found = FindBoth(module, "weight_packed", table);
    if (!found) return {};
    GridTensors& tensors = found->tensors;
    const DType codes = found->codes.dtype;
    const DType scale = found->scale.dtype;
    if (codes == DType::kI32 && codec::IsCodedFloat(scale))
      return FindIntegers(*found, module, table);
    if (codes != DType::kU8) return {};
    if (scale == DType::kU8) {
      tensors.rules = {RoundingRule::kMxfp4};
    } else if (scale == DType::kF8E4M3) {
      tensors.rules = {RoundingRule::kNvfp4};
      tensors.global = FindIn(table, module, kGlobal);
      if (!tensors.global) return {};
    } else {
      return {};
    }
    return Finish(*std::move(found), 2);
  }

 private:
  // Words of codes of eight or four bits; a row fills its last word.
  static std::vector<GridTensors> FindIntegers(Found found, std::string_view module,
                                               const TensorTable& table) {
    found.tensors.layout = CodeLayout::kOffset;
    found.tensors.zeros = FindIn(table, module, kZero);
    found.tensors.rules = {found.tensors.zeros ? RoundingRule::kInt4Zeros : RoundingRule::kInt4};
    std::vector<GridTensors> readings = Finish(found, 8);
    if (found.tensors.zeros) return readings;
    found.tensors.rules = {RoundingRule::kInt8};
    const std::vector<GridTensors> of_bytes = Finish(std::move(found), 4);
    readings.insert(readings.end(), of_bytes.begin(), of_bytes.end());
    return readings;
  }
};

}  // namespace

const GridFormat& CompressedTensors() {
  static const Plain kFormat;
  return kFormat;
}

const GridFormat& CompressedTensorsPacked() {
  static const Packed kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
