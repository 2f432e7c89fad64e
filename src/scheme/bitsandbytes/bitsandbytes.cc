// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/bitsandbytes.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "scheme/grid/grid_shapes.h"
#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

class Int8 final : public NamedFormat {
 public:
  Int8() : NamedFormat({"weight", "SCB"}) {}

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    const TensorDesc& code = found.codes;
    const TensorDesc& scale = found.scales;
    if (code.dtype != DType::kI8 || scale.dtype != DType::kF32 || code.shape.size() < 2 ||
        ElementCount(code.shape) == 0 || ElementCount(scale.shape) != code.shape[0]) {
      return {};
    }
    GridTensors tensors = found.tensors;
    tensors.rules = {RoundingRule::kLlmInt8, RoundingRule::kLlmInt8Quotient};
    tensors.elem_count = ElementCount(code.shape);
    const uint64_t columns = tensors.elem_count / code.shape[0];
    tensors.groups = {1, columns, columns};
    return Only(std::move(tensors));
  }
};

constexpr std::string_view kNf4State = "weight.quant_state.bitsandbytes__nf4";
constexpr std::string_view kFp4State = "weight.quant_state.bitsandbytes__fp4";
constexpr std::string_view kMadeNames[] = {"nf4"};

// As Python writes it.
std::vector<std::byte> StateText(uint64_t block, const TensorDesc& weights) {
  const std::string_view dtype = weights.dtype == DType::kBF16  ? "bfloat16"
                                 : weights.dtype == DType::kF16 ? "float16"
                                                                : "float32";
  const std::string text = R"({"quant_type": "nf4", "blocksize": )" + std::to_string(block) +
                           R"(, "dtype": ")" + std::string(dtype) + R"(", "shape": [)" +
                           std::to_string(weights.shape[0]) + ", " +
                           std::to_string(weights.shape[1]) + "]}";
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// The numbers of the codes, in the order of these.
std::vector<std::byte> MapOf(const Rounding& rounding) {
  std::vector<std::byte> bytes(16 * sizeof(float));
  for (size_t code = 0; code < 16; ++code) {
    const float number = NumberOfCode(rounding, static_cast<uint8_t>(code));
    base::StoreLe(bytes.data() + 4 * code, std::bit_cast<uint32_t>(number));
  }
  return bytes;
}

class FourBits final : public NamedFormat {
 public:
  FourBits() : NamedFormat({"weight", "weight.absmax"}) {}

  std::span<const std::string_view> MadeNames() const override { return kMadeNames; }

  Result<MadeMatrix> Make(std::string_view, const TensorDesc& weights) const override {
    constexpr uint64_t kBlock = 64;
    const uint64_t elems = ElementCount(weights.shape);
    QSTORE_TRY(CheckWholeGroups("weights", elems, 2));
    using Content = MadeTensor::Content;
    MadeMatrix made;
    made.rule = RoundingRule::kNf4;
    made.layout = CodeLayout::kHighFirst;
    made.groups = {1, kBlock, elems};
    std::vector<std::byte> state = StateText(kBlock, weights);
    const uint64_t scales = made.groups.per_row();
    made.tensors = {
        {Content::kCodes, "weight", DType::kU8, {elems / 2, 1}, {}},
        {Content::kScales, "weight.absmax", DType::kF32, {scales}, {}},
        {Content::kGiven, "weight.quant_map", DType::kF32, {16}, MapOf(RoundingOf(made.rule))},
        {Content::kGiven, std::string(kNf4State), DType::kU8, {state.size()}, state}};
    return made;
  }

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    const auto nf4 = found.Other(kNf4State);
    const auto fp4 = found.Other(kFp4State);
    if (nf4.has_value() == fp4.has_value()) return {};
    GridTensors tensors = found.tensors;
    tensors.state = nf4 ? nf4 : fp4;
    tensors.rules = {nf4 ? RoundingRule::kNf4 : RoundingRule::kFp4};
    tensors.layout = CodeLayout::kHighFirst;
    tensors.elem_count = 2 * ByteCount(found.codes);
    const auto block = BlockOf(tensors.elem_count, ElementCount(found.scales.shape));
    if (!block) return {};
    tensors.groups = {1, *block, tensors.elem_count};
    // Those of double quantization are quantized themselves: nested_scales.h.
    if (found.scales.dtype != DType::kF32) tensors.scales.reset();
    return Only(std::move(tensors));
  }

  // Weights with one scale, in the order of memory.
  static std::optional<uint64_t> BlockOf(uint64_t elems, uint64_t scales) {
    for (uint64_t block = 64; block <= 4096; block *= 2) {
      if (elems > 0 && scales == (elems + block - 1) / block) return std::min(block, elems);
    }
    return std::nullopt;
  }
};

}  // namespace

const GridFormat& BitsandbytesInt8() {
  static const Int8 kFormat;
  return kFormat;
}

const GridFormat& BitsandbytesFourBits() {
  static const FourBits kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
