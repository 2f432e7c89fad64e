// SPDX-License-Identifier: Apache-2.0
#include "chain/check_parents.h"

#include "base/status_macros.h"
#include "codec/floating.h"

namespace qstore::chain {
namespace {

Status CheckGptqParts(const quant::GptqTensor& tensor) {
  const base::GptqShape& shape = tensor.shape;
  const uint64_t cells = shape.groups * shape.outputs;
  if (!base::IsGptqBits(shape.bits) || shape.groups == 0 || shape.outputs * shape.bits % 32 != 0 ||
      !codec::IsCodedFloat(tensor.scales_dtype) ||
      tensor.scales.size() != cells * (DTypeBits(tensor.scales_dtype) / 8) ||
      tensor.zeros.size() != cells * shape.bits / 8) {
    return Corrupt("relation: GPTQ scales or zero points do not fit their tensor");
  }
  const bool fits = tensor.groups.empty() ? shape.inputs % shape.groups == 0
                                          : tensor.groups.size() == 4 * shape.inputs;
  return fits ? Status() : Corrupt("relation: GPTQ groups do not fit their tensor");
}

Status CheckGptqParents(const ObjectSpec& spec, uint64_t chunk, const ParentBytes& parents) {
  const base::GptqShape& shape = spec.parent_shape;
  QSTORE_TRY(CheckGptqParts(GptqParent(spec, parents)));
  const uint64_t count = spec.chunk_elem_count(chunk);
  if (spec.relation == Relation::kGptqFloats) {
    const base::GptqOutputs has = GptqParent(spec, parents).weights_outputs();
    const bool fits = (spec.dtype == DType::kBF16 || spec.dtype == DType::kF16) &&
                      shape.inputs > 0 && spec.first_elem(chunk) % shape.inputs == 0 &&
                      count % shape.inputs == 0 && spec.elem_count() == shape.elem_count() &&
                      shape.inputs * shape.bits % 32 == 0 &&
                      has.first <= spec.first_elem(chunk) / shape.inputs &&
                      (spec.first_elem(chunk) + count) / shape.inputs <= has.first + has.count &&
                      parents.base.size() == shape.inputs * has.count * shape.bits / 8;
    return fits ? Status() : Corrupt("relation: GPTQ parent has another shape");
  }
  QSTORE_TRY(CheckGptqParts(GptqSelf(spec, parents)));
  const uint64_t row_bits = shape.outputs * spec.shape.bits;
  const uint64_t rows = 32 * count / row_bits;
  const bool fits = spec.elem_bytes() == 4 && spec.shape.inputs == shape.inputs &&
                    spec.shape.outputs == shape.outputs && 32 * count % row_bits == 0 &&
                    32 * spec.first_elem(chunk) % row_bits == 0 && rows * shape.bits % 32 == 0 &&
                    rows * spec.shape.bits % 32 == 0 &&
                    32 * spec.first_elem(chunk) / row_bits + rows <= shape.inputs &&
                    parents.base.size() == rows * shape.outputs * shape.bits / 8;
  return fits ? Status() : Corrupt("relation: GPTQ parent has another shape");
}

}  // namespace

quant::GptqTensor GptqParent(const ObjectSpec& spec, const ParentBytes& parents) {
  return {spec.parent_shape, spec.parent_dtype, parents.base,     parents.scales,
          parents.zeros,     parents.groups,    parents.base_only};
}

quant::GptqTensor GptqSelf(const ObjectSpec& spec, const ParentBytes& parents) {
  return {spec.shape,         spec.own_dtype,    {},
          parents.own_scales, parents.own_zeros, parents.own_groups};
}

Status CheckParents(const ObjectSpec& spec, uint64_t chunk, const ParentBytes& parents) {
  if (spec.relation == Relation::kNone) return {};
  if (IsGptq(spec.relation)) return CheckGptqParents(spec, chunk, parents);
  const uint64_t count = spec.chunk_elem_count(chunk);
  const uint64_t parent_elem = DTypeBits(spec.parent_dtype) / 8;
  if (!codec::IsCodedFloat(spec.dtype))
    return Corrupt("relation: target type is not a coded float");
  if (parents.base.size() != count * parent_elem) {
    return Corrupt("relation: base parent has another number of elements");
  }
  if (spec.relation == Relation::kCast) {
    return codec::IsCodedFloat(spec.parent_dtype)
               ? Status()
               : Corrupt("relation: cast from a type without casts");
  }
  const uint64_t rows = (spec.elem_count() + spec.row_elems - 1) / spec.row_elems;
  if (spec.parent_dtype != DType::kI8 || parents.scales.size() / 4 < rows) {
    return Corrupt("relation: LLM.int8 parent is not I8 with an F32 scale for every row");
  }
  return {};
}

}  // namespace qstore::chain
