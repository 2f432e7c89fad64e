// SPDX-License-Identifier: Apache-2.0
#include "scheme/compressed_tensors/compressed_tensors.h"

#include <utility>

#include "codec/floating.h"
#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

class Packed final : public NamedFormat {
 public:
  Packed() : NamedFormat({"weight_packed", "weight_scale", "weight_zero_point"}) {}

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
    tensors.rules = {tensors.zeros ? RoundingRule::kInt4Zeros : RoundingRule::kInt4};
    std::vector<GridTensors> readings = ByShapes(found, tensors, 8);
    if (tensors.zeros) return readings;
    tensors.rules = {RoundingRule::kInt8};
    for (GridTensors& reading : ByShapes(found, std::move(tensors), 4)) {
      readings.push_back(std::move(reading));
    }
    return readings;
  }
};

}  // namespace

const GridFormat& CompressedTensors() {
  static const BytesFormat kFormat(
      {"weight", "weight_scale", "weight_zero_point"},
      {RoundingRule::kInt8, RoundingRule::kInt8Whole, RoundingRule::kInt8Wide},
      {RoundingRule::kE4m3, RoundingRule::kE4m3Wide, RoundingRule::kE4m3Single,
       RoundingRule::kE4m3Reciprocal, RoundingRule::kMxfp8});
  return kFormat;
}

const GridFormat& CompressedTensorsPacked() {
  static const Packed kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
