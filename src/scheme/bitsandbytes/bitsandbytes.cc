// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/bitsandbytes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kWeight = "weight";
constexpr std::string_view kScb = "SCB";
constexpr std::string_view kAbsmax = "weight.absmax";

class Int8 final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kWeight)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kScb)) return GridPartName{*module, GridPart::kScales};
    return std::nullopt;
  }

  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kWeight);
    const auto scales = FindIn(table, module, kScb);
    if (!codes || !scales) return {};
    const TensorDesc code = table.tensor(*codes);
    const TensorDesc scale = table.tensor(*scales);
    if (code.dtype != DType::kI8 || scale.dtype != DType::kF32 || code.shape.size() < 2 ||
        ElementCount(code.shape) == 0 || ElementCount(scale.shape) != code.shape[0]) {
      return {};
    }
    GridTensors tensors;
    tensors.rules = {RoundingRule::kLlmInt8, RoundingRule::kLlmInt8Quotient};
    tensors.elem_count = ElementCount(code.shape);
    const uint64_t columns = tensors.elem_count / code.shape[0];
    tensors.groups = {1, columns, columns};
    tensors.codes = *codes;
    tensors.scales = scales;
    return {tensors};
  }
};

class FourBits final : public GridFormat {
 public:
  std::optional<GridPartName> PartOf(std::string_view name) const override {
    if (const auto module = ModuleOf(name, kWeight)) return GridPartName{*module, GridPart::kCodes};
    if (const auto module = ModuleOf(name, kAbsmax)) {
      return GridPartName{*module, GridPart::kScales};
    }
    return std::nullopt;
  }

  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const override {
    const auto codes = FindIn(table, module, kWeight);
    const auto scales = FindIn(table, module, kAbsmax);
    const auto nf4 = FindIn(table, module, "weight.quant_state.bitsandbytes__nf4");
    const auto fp4 = FindIn(table, module, "weight.quant_state.bitsandbytes__fp4");
    if (!codes || !scales || nf4.has_value() == fp4.has_value()) return {};
    const TensorDesc scale = table.tensor(*scales);
    GridTensors tensors;
    tensors.state = nf4 ? nf4 : fp4;
    tensors.rules = {nf4 ? RoundingRule::kNf4 : RoundingRule::kFp4};
    tensors.layout = CodeLayout::kHighFirst;
    tensors.elem_count = 2 * ByteCount(table.tensor(*codes));
    tensors.codes = *codes;
    const auto block = BlockOf(tensors.elem_count, ElementCount(scale.shape));
    if (!block) return {};
    tensors.groups = {1, *block, tensors.elem_count};
    // Those of double quantization are quantized themselves: nested_scales.h.
    if (scale.dtype == DType::kF32) tensors.scales = scales;
    return {tensors};
  }

 private:
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
