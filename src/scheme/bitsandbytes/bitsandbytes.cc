// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/bitsandbytes.h"

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
    return {tensors};
  }
};

class FourBits final : public NamedFormat {
 public:
  FourBits() : NamedFormat({"weight", "weight.absmax"}) {}

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    const auto nf4 = found.Other("weight.quant_state.bitsandbytes__nf4");
    const auto fp4 = found.Other("weight.quant_state.bitsandbytes__fp4");
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
    return {tensors};
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
