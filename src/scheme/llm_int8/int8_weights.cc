// SPDX-License-Identifier: Apache-2.0
#include "scheme/llm_int8/int8_weights.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kWeight = ".weight";

enum Part : uint8_t { kCodes, kScales };

class Int8Weights final : public QuantizedWeights {
 public:
  using QuantizedWeights::QuantizedWeights;

  Status ReadCodes(const PartReader& read, uint64_t row, uint64_t,
                   std::span<uint16_t> codes) const override {
    std::vector<uint8_t> bytes(codes.size());
    QSTORE_TRY(read(kCodes, row * shape().columns, std::as_writable_bytes(std::span(bytes))));
    std::copy(bytes.begin(), bytes.end(), codes.begin());
    return {};
  }

  Result<WeightScales> ReadScales(const PartReader& read) const override {
    WeightScales scales;
    QSTORE_ASSIGN(scales.patterns, ReadPatterns(read, kScales, DType::kF32, shape().rows));
    return scales;
  }
};

}  // namespace

std::optional<std::string_view> ModuleOfInt8(const TensorDesc& tensor) {
  if (tensor.dtype != DType::kI8 || tensor.shape.size() < 2 || !tensor.name.ends_with(kWeight)) {
    return std::nullopt;
  }
  return tensor.name.substr(0, tensor.name.size() - kWeight.size());
}

std::unique_ptr<const QuantizedWeights> FindInt8Weights(size_t codes, const TensorTable& table,
                                                        Refusal* refusal) {
  const auto refuse = [&](size_t tensor, std::string rule) {
    *refusal = {tensor, std::move(rule)};
    return nullptr;
  };
  const TensorDesc weight = table.tensor(codes);
  const auto module = *ModuleOfInt8(weight);
  MatrixShape shape{8, weight.shape[0], ElementCount(weight.shape.subspan(1)), 1};
  if (shape.rows == 0 || shape.columns == 0) return refuse(codes, "empty");
  const auto scales = FindIn(table, module, ".SCB");
  if (!scales) return refuse(codes, "but there is no SCB beside it");
  const TensorDesc scale = table.tensor(*scales);
  const auto along = std::find(scale.shape.begin(), scale.shape.end(), shape.rows);
  if (scale.dtype != DType::kF32 || along == scale.shape.end() ||
      ElementCount(scale.shape) != shape.rows) {
    return refuse(*scales, "not F32 with " + std::to_string(shape.rows) + " scales");
  }
  std::vector<WeightPart> parts = {{codes, size_t{0}},
                                   {*scales, static_cast<size_t>(along - scale.shape.begin())}};
  if (const auto format = FindIn(table, module, ".weight_format")) {
    parts.push_back({*format, std::nullopt});
  }
  return std::make_unique<Int8Weights>(shape, std::move(parts));
}

}  // namespace qstore::scheme
