// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "format/index.h"
#include "format/limits.h"

namespace qstore::format {
namespace {

bool IsCodedFloat(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32;
}

Status CheckWhole(const ObjectEntry& parent) {
  if (parent.relation != Relation::kNone) return Corrupt("its scales parent has parents");
  if (parent.byte_size > kMaxScalesBytes) return LimitExceeded("scales larger than 64 MiB");
  return {};
}

Status CheckPair(const ObjectEntry& object, const ParentEntries& parents) {
  const ObjectEntry& base = *parents.base;
  if (DTypeBits(object.parent_dtype) != DTypeBits(base.dtype) ||
      base.elem_count() != object.elem_count() || base.chunk_elems != object.chunk_elems) {
    return Corrupt("differs from its base parent in elements or chunks");
  }
  const bool parent_fits = object.relation == Relation::kLlmInt8
                               ? object.parent_dtype == DType::kI8
                               : IsCodedFloat(object.parent_dtype);
  if (!IsCodedFloat(object.dtype) || !parent_fits) {
    return Corrupt("has a type, or a parent of one, that its relation does not know");
  }
  if (parents.scales == nullptr) return {};
  QSTORE_TRY(CheckWhole(*parents.scales));
  const uint64_t elems = object.elem_count();
  if (elems % object.row_elems != 0 || parents.scales->byte_size != elems / object.row_elems * 4) {
    return Corrupt("its scales parent does not hold one F32 for each row");
  }
  return {};
}

// A GPTQ tensor's shape from its parts, `groups` included.
Result<base::GptqShape> CheckTensor(const ObjectEntry& weights, const ObjectEntry* scales,
                                    DType scales_dtype, const ObjectEntry* zeros,
                                    const ObjectEntry* groups) {
  if (scales == nullptr || zeros == nullptr) return Corrupt("a GPTQ parent is missing");
  if (!IsCodedFloat(scales_dtype)) return Corrupt("its GPTQ scales are of a type without scales");
  QSTORE_TRY(CheckWhole(*scales));
  QSTORE_TRY(CheckWhole(*zeros));
  const auto shape = GptqShapeOf(weights, *scales, scales_dtype, *zeros);
  if (!shape) return Corrupt("its GPTQ parents have sizes that fit no shape");
  if (groups == nullptr) {
    if (shape->inputs % shape->groups == 0) return *shape;
    return Corrupt("its GPTQ groups are not of equal size");
  }
  QSTORE_TRY(CheckWhole(*groups));
  if (groups->byte_size != 4 * shape->inputs) {
    return Corrupt("its GPTQ groups are not one I32 for each input");
  }
  return *shape;
}

Status CheckGptqFloats(const ObjectEntry& object, const base::GptqShape& parent) {
  if (object.dtype != DType::kF16 && object.dtype != DType::kBF16) {
    return Corrupt("has a type, or a parent of one, that its relation does not know");
  }
  if (object.row_elems != parent.inputs || object.elem_count() != parent.elem_count() ||
      object.chunk_elems % parent.inputs != 0) {
    return Corrupt("does not have the rows of its GPTQ parent");
  }
  return {};
}

Status CheckGptqIntegers(const ObjectEntry& object, const ParentEntries& parents,
                         const base::GptqShape& parent) {
  const ObjectEntry& base = *parents.base;
  QSTORE_ASSIGN(const base::GptqShape own, CheckTensor(object, parents.own_scales, object.own_dtype,
                                                       parents.own_zeros, parents.own_groups));
  if (own.inputs != parent.inputs || own.outputs != parent.outputs) {
    return Corrupt("does not have the shape of its GPTQ parent");
  }
  // Chunks of both are of the same inputs, which fill words.
  if (object.chunk_elems % (own.outputs * own.bits) != 0 ||
      base.chunk_elems % (own.outputs * parent.bits) != 0 ||
      object.chunk_elems / own.bits != base.chunk_elems / parent.bits ||
      object.chunk_elems / own.bits % own.outputs != 0) {
    return Corrupt("differs from its base parent in elements or chunks");
  }
  return {};
}

}  // namespace

WholeParents ObjectEntry::whole_parents() const {
  WholeParents whole;
  const auto add = [&](uint32_t id) {
    if (id != kNoParent) whole.ids[whole.count++] = id;
  };
  if (has_base() && !has_chunked_base()) add(base);
  if (has_scales()) add(scales);
  if (is_gptq()) {
    add(zeros);
    add(groups);
  }
  if (has_own()) {
    add(own_scales);
    add(own_zeros);
    add(own_groups);
  }
  return whole;
}

ParentEntries ParentsOf(const ObjectEntry& object, std::span<const ObjectEntry> objects) {
  const auto entry = [&](bool has, uint32_t id) {
    return has && id != kNoParent ? &objects[id] : nullptr;
  };
  const bool gptq = object.is_gptq();
  const bool own = object.has_own();
  return {entry(object.has_base(), object.base),
          entry(object.has_scales(), object.scales),
          entry(gptq, object.zeros),
          entry(gptq, object.groups),
          entry(own, object.own_scales),
          entry(own, object.own_zeros),
          entry(own, object.own_groups)};
}

std::optional<base::GptqShape> GptqShapeOf(const ObjectEntry& weights, const ObjectEntry& scales,
                                           DType scales_dtype, const ObjectEntry& zeros) {
  const uint64_t scale_bytes = DTypeBits(scales_dtype) / 8;
  if (weights.elem_bytes() != 4 || scale_bytes == 0 || scales.byte_size % scale_bytes != 0) {
    return std::nullopt;
  }
  return base::GptqShapeOf(weights.row_elems, weights.byte_size, scales.byte_size / scale_bytes,
                           zeros.byte_size);
}

Status CheckParents(const ObjectEntry& object, const ParentEntries& parents, unsigned depth) {
  if (depth >= kMaxDepth) return LimitExceeded("has more than 8 ancestors");
  if (!object.is_gptq()) return CheckPair(object, parents);
  QSTORE_ASSIGN(const base::GptqShape shape,
                CheckTensor(*parents.base, parents.scales, object.parent_dtype, parents.zeros,
                            parents.groups));
  if (object.has_own()) return CheckGptqIntegers(object, parents, shape);
  if (parents.base->byte_size > kMaxWholeBytes) {
    return LimitExceeded("a base parent taken whole is larger than 512 MiB");
  }
  return CheckGptqFloats(object, shape);
}

}  // namespace qstore::format
