// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/disk_ids.h"
#include "qstore/dtype.h"
#include "qstore/level.h"

namespace qstore::scheme {

/// An object as a coder sees it. An object is a run of bytes stored once: a tensor's content, a
/// safetensors header, a file that is not a model. The index stores the first four fields under
/// these names.
struct ObjectSpec {
  /// Element type as the coder models it: never sub-byte (F4, F6 and opaque bytes are kU8).
  DType dtype = DType::kU8;
  /// Content length; a multiple of the element size.
  uint64_t byte_size = 0;
  /// Elements in a row: of all dimensions behind the first, or the only one. 1 or more.
  uint64_t row_elems = 1;
  /// Elements in every chunk but the last, 1 or more.
  uint64_t chunk_elems = 1;

  /// For the writer, when the elements are words that hold several weights each: how many weights
  /// all words hold, else 0.
  uint64_t packed_weights = 0;
  /// Likewise: the fewest elements that a sample may have, else 0.
  uint64_t sample_elems = 0;

  bool operator==(const ObjectSpec&) const = default;

  uint64_t elem_bytes() const { return DTypeBits(dtype) / 8; }
  uint64_t elem_count() const { return byte_size / elem_bytes(); }
  uint64_t chunk_bytes() const { return chunk_elems * elem_bytes(); }
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

/// The spec of a tensor's content, whatever its scheme: dtype (sub-byte types and content whose
/// length is no multiple of the element become kU8), row_elems, chunk_elems. At level max the
/// chunks of matrices are larger.
ObjectSpec SpecFor(DType dtype, std::span<const uint64_t> shape, uint64_t byte_size,
                   Level level = Level::kBalanced);

}  // namespace qstore::scheme
