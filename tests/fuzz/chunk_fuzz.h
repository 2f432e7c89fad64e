// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "base/disk_ids.h"
#include "chain/object_spec.h"
#include "fuzz/fuzz_input.h"
#include "qstore/dtype.h"

namespace qstore::fuzz {

/// A chunk of an object, with parents of the sizes that its relation wants.
struct ChunkCase {
  chain::ObjectSpec spec;
  uint64_t chunk = 0;
  std::vector<std::byte> base;
  std::vector<std::byte> scales;
  std::vector<std::byte> zeros;
  std::vector<std::byte> groups;
  std::vector<std::byte> own_scales;
  std::vector<std::byte> own_zeros;
  std::vector<std::byte> own_groups;

  size_t byte_size() const { return spec.chunk_elem_count(chunk) * spec.elem_bytes(); }
  chain::ParentBytes parents() const {
    return {base, scales, zeros, groups, own_scales, own_zeros, own_groups};
  }
};

/// Scales, zero points and groups of a GPTQ tensor, the last ones of small numbers or none.
inline void TakeGptqParts(const base::GptqShape& shape, DType scales_dtype, FuzzInput* in,
                          std::vector<std::byte>* scales, std::vector<std::byte>* zeros,
                          std::vector<std::byte>* groups) {
  const uint64_t cells = shape.groups * shape.outputs;
  *scales = in->Bytes(cells * DTypeBits(scales_dtype) / 8);
  *zeros = in->Bytes(cells * shape.bits / 8);
  if (in->Below(2) == 0) return;
  for (uint64_t i = 0; i < shape.inputs; ++i) {
    const auto group = static_cast<uint32_t>(in->Number<uint8_t>() % (shape.groups + 1));
    for (unsigned b = 0; b < 32; b += 8) groups->push_back(static_cast<std::byte>(group >> b));
  }
}

/// The rest of a case under a GPTQ relation: at most 4 Ki weights.
inline void TakeGptqCase(FuzzInput* in, ChunkCase* out) {
  static constexpr DType kScales[] = {DType::kF16, DType::kBF16, DType::kF32};
  static constexpr unsigned kBits[] = {4, 8, 2, 3};
  auto& spec = out->spec;
  base::GptqShape shape;
  shape.groups = 1 + in->Below(4);
  shape.inputs = 32 * shape.groups;
  shape.outputs = 32 << in->Below(2);
  shape.bits = kBits[in->Below(4)];
  spec.parent_shape = shape;
  spec.parent_dtype = kScales[in->Below(3)];
  out->chunk = in->Below(2);
  TakeGptqParts(shape, spec.parent_dtype, in, &out->scales, &out->zeros, &out->groups);
  if (spec.relation == Relation::kGptqFloats) {
    spec.dtype = in->Below(2) == 0 ? DType::kBF16 : DType::kF16;
    spec.row_elems = shape.inputs;
    spec.byte_size = 2 * shape.elem_count();
    spec.chunk_elems = shape.inputs * (shape.outputs - 3);
    out->base = in->Bytes(shape.elem_count() * shape.bits / 8);
    return;
  }
  spec.dtype = DType::kI32;
  spec.shape = shape;
  spec.shape.bits = kBits[in->Below(4)];
  spec.own_dtype = kScales[in->Below(3)];
  TakeGptqParts(spec.shape, spec.own_dtype, in, &out->own_scales, &out->own_zeros,
                &out->own_groups);
  spec.row_elems = shape.outputs;
  spec.byte_size = shape.elem_count() * spec.shape.bits / 8;
  spec.chunk_elems = spec.shape.bits * shape.outputs;
  if (out->chunk >= spec.chunk_count()) out->chunk = 0;
  out->base = in->Bytes(32 * shape.outputs * shape.bits / 8);
}

/// The spec's fields come off the front of the input; at most 4 Ki elements
/// in one chunk or two.
inline ChunkCase TakeChunkCase(FuzzInput* in) {
  static constexpr DType kModelled[] = {DType::kU8,  DType::kI8,  DType::kF16, DType::kBF16,
                                        DType::kF32, DType::kI64, DType::kI16, DType::kF8E4M3};
  static constexpr DType kCastParents[] = {DType::kF16, DType::kBF16, DType::kF32, DType::kI8};
  ChunkCase out;
  auto& spec = out.spec;
  spec.dtype = kModelled[in->Below(std::size(kModelled))];
  spec.relation = static_cast<Relation>(in->Below(kRelationCount));
  if (spec.relation == Relation::kGptqFloats || spec.relation == Relation::kGptqIntegers) {
    TakeGptqCase(in, &out);
    return out;
  }
  spec.row_elems = 1 + in->Below(300);
  const uint64_t rows = in->Below(16);
  const uint64_t elems = std::min<uint64_t>(rows * spec.row_elems, 4096);
  spec.byte_size = elems * spec.elem_bytes();
  spec.chunk_elems = std::max<uint64_t>(elems, 1);
  if (elems > 1 && in->Below(2) != 0) {
    spec.chunk_elems = 1 + in->Below(elems - 1);
    out.chunk = 1;
  }
  if (spec.relation == Relation::kNone || elems == 0) return out;
  spec.parent_dtype = spec.relation == Relation::kLlmInt8
                          ? DType::kI8
                          : kCastParents[in->Below(std::size(kCastParents))];
  out.base = in->Bytes(spec.chunk_elem_count(out.chunk) * DTypeBits(spec.parent_dtype) / 8);
  if (spec.relation == Relation::kLlmInt8) out.scales = in->Bytes(rows * 4);
  return out;
}

}  // namespace qstore::fuzz
