// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/disk_ids.h"
#include "base/gptq_shape.h"
#include "qstore/dtype.h"
#include "qstore/level.h"

namespace qstore::chain {

/// What a chunk coder must know of the object a chunk belongs to. An object is a run of bytes
/// stored once: a tensor's content, a safetensors header, a file that is not a model. The index
/// stores these fields under these names.
struct ObjectSpec {
  /// Element type as the coder models it: never sub-byte (F4, F6 and opaque bytes are kU8).
  DType dtype = DType::kU8;
  /// Content length; a multiple of the element size.
  uint64_t byte_size = 0;
  /// Elements in a row: of all dimensions behind the first, or the only one. 1 or more.
  uint64_t row_elems = 1;
  /// Elements in every chunk but the last, 1 or more. Equal for an object and its base parent, so
  /// that chunk i of the one covers the elements of chunk i of the other.
  uint64_t chunk_elems = 1;
  Relation relation = Relation::kNone;
  /// Element type of the base parent; meaningless when relation is kNone.
  DType parent_dtype = DType::kU8;
  /// For GPTQ relations, where `parent_dtype` is the type of the parent's scales.
  base::GptqShape parent_shape;
  /// For kGptqIntegers: the object's own shape and type of scales.
  base::GptqShape shape;
  DType own_dtype = DType::kU8;

  uint64_t elem_bytes() const { return DTypeBits(dtype) / 8; }
  uint64_t elem_count() const { return byte_size / elem_bytes(); }
  uint64_t chunk_count() const { return (elem_count() + chunk_elems - 1) / chunk_elems; }
  uint64_t first_elem(uint64_t chunk) const { return chunk * chunk_elems; }
  uint64_t chunk_elem_count(uint64_t chunk) const {
    return std::min(chunk_elems, elem_count() - first_elem(chunk));
  }
};

/// Target number of elements of a chunk: large enough for tables to cost little, small enough that
/// a chunk's working set stays in a core's second-level cache.
inline constexpr uint64_t kChunkElems = uint64_t{1} << 18;
/// At the max level a model of the rows learns in a chunk what its later rows gain by.
inline constexpr uint64_t kMaxLevelChunkElems = uint64_t{1} << 21;

/// The chunk length for content with rows of `row_elems`: whole rows when a row is shorter than
/// kChunkElems. A function of its argument alone, so that a parent and a child of equal shape
/// agree.
uint64_t ChooseChunkElems(uint64_t row_elems, Level level);

/// The chunk length of a qweight of that shape, in words: whole inputs, as many for every number of
/// bits, or nothing when a chunk would be larger than 16 MiB.
std::optional<uint64_t> ChooseGptqChunkElems(const base::GptqShape& shape);

/// What a parent is to its child.
enum ParentRole : uint8_t {
  kBase,
  kScales,
  kZeros,
  kGroups,
  kOwnScales,
  kOwnZeros,
  kOwnGroups,
};
inline constexpr size_t kParentRoles = 7;

/// The decoded bytes of the parents that a chunk needs. Empty spans when relation is kNone.
struct ParentBytes {
  std::span<const std::byte> base;    ///< The base parent's content for the same elements;
                                      ///< for kGptqFloats its whole content, or base_only.
  std::span<const std::byte> scales;  ///< The scales parent's whole content.
  /// For GPTQ relations: qzeros and g_idx beside the base parent, and the object's own.
  std::span<const std::byte> zeros = {};
  std::span<const std::byte> groups = {};  ///< May be empty.
  std::span<const std::byte> own_scales = {};
  std::span<const std::byte> own_zeros = {};
  std::span<const std::byte> own_groups = {};  ///< May be empty.
  /// For kGptqFloats: the outputs that `base` has in each of its rows, the chunk's among them.
  std::optional<base::GptqOutputs> base_only = {};
};

}  // namespace qstore::chain
