// SPDX-License-Identifier: Apache-2.0
#include "scheme/compressed_tensors/compressed_tensors.h"

#include <algorithm>

#include "codec/floating.h"

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

// Rows and columns of the weights: all dimensions before the last are rows.
struct Matrix {
  uint64_t rows = 0;
  uint64_t columns = 0;
};
Matrix MatrixOf(std::span<const uint64_t> shape, uint64_t per_elem) {
  const uint64_t columns = shape.back();
  const uint64_t rows = columns == 0 ? 0 : ElementCount(shape) / columns;
  return {rows, columns * per_elem};
}

// One scale for all, or as many in a row as there are groups of columns; blocks of 128 by 128
// where there are fewer rows of scales than of weights.
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

std::optional<GridTensors> Finish(Found found, uint64_t per_elem) {
  const Matrix matrix = MatrixOf(found.codes.shape, per_elem);
  const auto groups = GroupsOf(matrix, found.scale.shape);
  if (!groups) return std::nullopt;
  found.tensors.groups = *groups;
  found.tensors.elem_count = matrix.rows * matrix.columns;
  return found.tensors;
}

class Plain final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    return PartNamed(name, "weight");
  }
  std::optional<GridTensors> Find(std::string_view module,
                                  const TensorTable& table) const override {
    auto found = FindBoth(module, "weight", table);
    if (!found || !codec::IsCodedFloat(found->scale.dtype)) return std::nullopt;
    if (found->codes.dtype == DType::kF8E4M3) {
      found->tensors.rules = {RoundingRule::kE4m3};
    } else if (found->codes.dtype == DType::kI8) {
      found->tensors.rules = {RoundingRule::kInt8};
    } else {
      return std::nullopt;
    }
    return Finish(*std::move(found), 1);
  }
};

class Packed final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    return PartNamed(name, "weight_packed");
  }
  std::optional<GridTensors> Find(std::string_view module,
                                  const TensorTable& table) const override {
    auto found = FindBoth(module, "weight_packed", table);
    if (!found) return std::nullopt;
    GridTensors& tensors = found->tensors;
    const DType codes = found->codes.dtype;
    const DType scale = found->scale.dtype;
    if (codes == DType::kI32 && codec::IsCodedFloat(scale))
      return FindIntegers(*found, module, table);
    if (codes != DType::kU8) return std::nullopt;
    if (scale == DType::kU8) {
      tensors.rules = {RoundingRule::kMxfp4};
    } else if (scale == DType::kF8E4M3) {
      tensors.rules = {RoundingRule::kNvfp4};
      tensors.global = FindIn(table, module, kGlobal);
      if (!tensors.global) return std::nullopt;
    } else {
      return std::nullopt;
    }
    return Finish(*std::move(found), 2);
  }

 private:
  // Words of four bits a code; a row fills its last word.
  static std::optional<GridTensors> FindIntegers(Found found, std::string_view module,
                                                 const TensorTable& table) {
    found.tensors.layout = CodeLayout::kOffset;
    found.tensors.rules = {RoundingRule::kInt4};
    if (const auto zeros = FindIn(table, module, kZero)) {
      found.tensors.zeros = zeros;
      found.tensors.rules = {RoundingRule::kInt4Zeros};
    }
    return Finish(std::move(found), 8);
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
