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

  size_t byte_size() const { return spec.chunk_elem_count(chunk) * spec.elem_bytes(); }
  chain::ParentBytes parents() const { return {base, scales}; }
};

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
