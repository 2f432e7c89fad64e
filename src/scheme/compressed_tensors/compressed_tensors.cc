// SPDX-License-Identifier: Apache-2.0
#include "scheme/compressed_tensors/compressed_tensors.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "codec/floating.h"
#include "scheme/grid/grid_shapes.h"
#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

using Content = MadeTensor::Content;

MadeTensor MadeScales(const Groups& groups, const Rounding& rounding, const TensorDesc& weights) {
  const uint64_t rows = (weights.shape[0] + groups.height - 1) / groups.height;
  const DType dtype = ScaleType(rounding, weights.dtype);
  return {Content::kScales, "weight_scale", dtype, {rows, groups.per_row()}, {}};
}

constexpr std::string_view kPlainNames[] = {"fp8-block", "fp8-channel", "fp8-tensor", "int8"};
constexpr std::string_view kPackedNames[] = {"nvfp4", "mxfp4", "int4"};

class Plain final : public BytesFormat {
 public:
  Plain()
      : BytesFormat({"weight", "weight_scale", "weight_zero_point"},
                    {RoundingRule::kInt8, RoundingRule::kInt8Whole, RoundingRule::kInt8Wide},
                    {RoundingRule::kE4m3, RoundingRule::kE4m3Wide, RoundingRule::kE4m3Single,
                     RoundingRule::kE4m3Reciprocal, RoundingRule::kE4m3Mixed, RoundingRule::kMxfp8},
                    RoundingRule::kInt8ByteZeros) {}

  std::span<const std::string_view> MadeNames() const override { return kPlainNames; }

  Result<MadeMatrix> Make(std::string_view made_name, const TensorDesc& weights) const override {
    constexpr uint64_t kBlock = 128;
    const uint64_t rows = weights.shape[0];
    const uint64_t columns = weights.shape[1];
    MadeMatrix made;
    const bool is_int8 = made_name == "int8";
    made.rule = is_int8 ? RoundingRule::kInt8 : RoundingRule::kE4m3;
    made.groups = {1, columns, columns};
    if (made_name == "fp8-block") made.groups = {kBlock, std::min(kBlock, columns), columns};
    made.has_one_scale = made_name == "fp8-tensor";
    if (made.has_one_scale) made.groups.height = rows;
    const DType codes = is_int8 ? DType::kI8 : DType::kF8E4M3;
    made.tensors = {{Content::kCodes, "weight", codes, {rows, columns}, {}},
                    MadeScales(made.groups, RoundingOf(made.rule), weights)};
    if (made.has_one_scale) made.tensors.back().shape = {1};
    return made;
  }
};

// Of all scales, so that the largest is the largest of E4M3. In the type of the weights, which is
// where 1 stands for infinity.
float MadeGlobal(DType weights, float peak) {
  constexpr float kLargest = 448.0f * 6.0f;
  const float global = RoundTo(weights, RoundTo(weights, 1.0f / peak) * kLargest);
  return std::isfinite(global) ? global : 1.0f;
}

std::vector<std::byte> WrittenShape(std::span<const uint64_t> shape) {
  std::vector<std::byte> bytes(8 * shape.size());
  for (size_t i = 0; i < shape.size(); ++i) base::StoreLe(bytes.data() + 8 * i, shape[i]);
  return bytes;
}

class Packed final : public NamedFormat {
 public:
  Packed() : NamedFormat({"weight_packed", "weight_scale", "weight_zero_point"}) {}

  std::span<const std::string_view> MadeNames() const override { return kPackedNames; }

  Result<MadeMatrix> Make(std::string_view made_name, const TensorDesc& weights) const override {
    const uint64_t rows = weights.shape[0];
    const uint64_t columns = weights.shape[1];
    const bool is_int4 = made_name == "int4";
    const bool is_nvfp4 = made_name == "nvfp4";
    const uint64_t width = is_int4 ? 128 : is_nvfp4 ? 16 : 32;
    QSTORE_TRY(CheckWholeGroups("columns", columns, width));
    MadeMatrix made;
    made.rule = is_int4    ? RoundingRule::kInt4
                : is_nvfp4 ? RoundingRule::kNvfp4
                           : RoundingRule::kMxfp4;
    made.groups = {1, width, columns};
    if (is_int4) made.layout = CodeLayout::kOffset;
    const DType codes = is_int4 ? DType::kI32 : DType::kU8;
    const uint64_t per_elem = DTypeBits(codes) / 4;
    made.tensors = {{Content::kCodes, "weight_packed", codes, {rows, columns / per_elem}, {}},
                    MadeScales(made.groups, RoundingOf(made.rule), weights)};
    if (is_nvfp4) {
      made.global = MadeGlobal;
      made.tensors.push_back({Content::kGlobal, "weight_global_scale", DType::kF32, {1}, {}});
    }
    if (is_int4) {
      made.tensors.push_back(
          {Content::kGiven, "weight_shape", DType::kI64, {2}, WrittenShape(weights.shape)});
    }
    return made;
  }

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    const DType scales = found.scales.dtype;
    if (found.codes.dtype == DType::kI32 && codec::IsCodedFloat(scales)) return ReadIntegers(found);
    if (found.codes.dtype != DType::kU8) return {};
    GridTensors tensors = found.tensors;
    if (scales == DType::kU8) {
      tensors.rules = {RoundingRule::kMxfp4};
    } else if (scales == DType::kF8E4M3) {
      tensors.rules = {RoundingRule::kNvfp4};
      tensors.global = found.Other("weight_global_scale");
      if (!tensors.global) return {};
    } else {
      return {};
    }
    return ByShapes(found, std::move(tensors), 2);
  }

  // Words of codes of eight or four bits; a row fills its last word.
  static std::vector<GridTensors> ReadIntegers(const Found& found) {
    GridTensors tensors = found.tensors;
    tensors.layout = CodeLayout::kOffset;
    tensors.zeros = found.Other("weight_zero_point");
    tensors.order = found.Other("weight_g_idx");
    const bool has_zeros = tensors.zeros.has_value();
    tensors.rules = {has_zeros ? RoundingRule::kInt4Zeros : RoundingRule::kInt4};
    std::vector<GridTensors> readings = ByShapes(found, tensors, 8);
    tensors.rules = {has_zeros ? RoundingRule::kInt8Zeros : RoundingRule::kInt8};
    for (GridTensors& reading : ByShapes(found, std::move(tensors), 4)) {
      readings.push_back(std::move(reading));
    }
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
