// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_parts.h"

#include <algorithm>

#include "base/status_macros.h"
#include "scheme/checks.h"

namespace qstore::scheme {

std::optional<GptqParts> FindGptqParts(std::string_view module, const TensorTable& table) {
  const auto weights = FindIn(table, module, kQWeight);
  const auto scales = FindIn(table, module, "scales");
  const auto zeros = FindIn(table, module, "qzeros");
  if (!weights || !scales || !zeros) return std::nullopt;
  const TensorDesc weight = table.tensor(*weights);
  const TensorDesc scale = table.tensor(*scales);
  const TensorDesc zero = table.tensor(*zeros);
  if (weight.dtype != DType::kI32 || weight.shape.size() != 2 || zero.dtype != DType::kI32 ||
      !codec::IsCodedFloat(scale.dtype) || scale.shape.size() != 2 ||
      scale.shape[1] != weight.shape[1]) {
    return std::nullopt;
  }
  const auto shape =
      GptqShapeOf(weight.shape[1], ByteCount(weight), ElementCount(scale.shape), ByteCount(zero));
  if (!shape) return std::nullopt;
  GptqParts parts{*shape, scale.dtype, *weights, *scales, *zeros, FindIn(table, module, "g_idx")};
  if (parts.groups) {
    const TensorDesc groups = table.tensor(*parts.groups);
    if (groups.dtype != DType::kI32 || ElementCount(groups.shape) != shape->inputs) {
      parts.groups.reset();
    }
  }
  if (!parts.groups && shape->inputs % shape->groups != 0) return std::nullopt;
  return parts;
}

std::optional<Packing> GptqPacking(const GptqShape& shape) {
  constexpr uint64_t kMostElems = (uint64_t{1} << 24) / 4;
  const uint64_t blocks = std::max<uint64_t>(1, kChunkElems / (kGptqBlock * shape.outputs));
  const uint64_t block = shape.bits * shape.outputs;
  if (blocks * block > kMostElems) return std::nullopt;
  return Packing{blocks * block, block, shape.elem_count()};
}

Result<GptqShape> CheckGptq(const ObjectSpec& weights, const GptqSides& sides,
                            std::span<const ObjectSpec> parents) {
  for (const ObjectSpec& parent : parents) QSTORE_TRY(CheckSmall(parent));
  const uint64_t scale_bytes = DTypeBits(sides.scales_dtype) / 8;
  if (weights.elem_bytes() != 4 || parents[0].byte_size % scale_bytes != 0) {
    return Corrupt("GPTQ: words or scales are cut");
  }
  const auto shape = GptqShapeOf(weights.row_elems, weights.byte_size,
                                 parents[0].byte_size / scale_bytes, parents[1].byte_size);
  if (!shape) return Corrupt("GPTQ: weights, scales and zero points fit no shape");
  if (!sides.has_groups) {
    if (shape->inputs % shape->groups == 0) return *shape;
    return Corrupt("GPTQ: groups are not of equal size");
  }
  if (parents[2].byte_size != 4 * shape->inputs) {
    return Corrupt("GPTQ: groups are not one I32 for each input");
  }
  return *shape;
}

GptqTensor GptqTensorOf(const GptqShape& shape, const GptqSides& sides,
                        std::span<const std::byte> weights,
                        std::span<const ParentContent> parents) {
  GptqTensor tensor;
  tensor.shape = shape;
  tensor.scales_dtype = sides.scales_dtype;
  tensor.weights = weights;
  tensor.scales = parents[0].bytes;
  tensor.zeros = parents[1].bytes;
  if (sides.has_groups) tensor.groups = parents[2].bytes;
  return tensor;
}

void AddSides(const GptqParts& parts, bool is_own, std::vector<ParentRef>* parents) {
  parents->push_back({is_own, parts.scales});
  parents->push_back({is_own, parts.zeros});
  if (parts.groups) parents->push_back({is_own, *parts.groups});
}

}  // namespace qstore::scheme
