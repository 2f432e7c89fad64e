// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/ggml_checks.h"

#include "codec/blocks/blocks.h"
#include "codec/floating.h"
#include "scheme/ggml/block_grid.h"
#include "scheme/ggml/search/search.h"

namespace qstore::scheme::ggml {
namespace {

// What a chunk may take beyond its own weights: of heads, and of matrices by their number.
constexpr uint64_t kMostHeadWeights = uint64_t{1} << 23;
constexpr uint64_t kMostHeadChunks = 64;
constexpr uint64_t kFewestWeights = 4;  // Of a chunk, for each matrix.

Status CheckImportance(const GgmlParams& params, uint64_t weights,
                       std::span<const ObjectSpec> parents) {
  const uint64_t row_bytes = params.columns * sizeof(float);
  const ObjectSpec& sums = parents[params.matrices];
  const ObjectSpec& counts = parents[params.matrices + 1];
  const uint64_t matrices = ImportanceParts(params, parents);
  if (params.counts_are_calls && counts.byte_size != sizeof(int32_t)) {
    return Corrupt("ggml: the number of calls is no I32");
  }
  if (matrices == 0 || counts.byte_size % sizeof(float) != 0 ||
      sums.byte_size / row_bytes != matrices || sums.byte_size % row_bytes != 0 ||
      weights / params.columns % matrices != 0) {
    return Corrupt("ggml: importance is not of the columns");
  }
  return {};
}

}  // namespace

uint64_t ImportanceParts(const GgmlParams& params, std::span<const ObjectSpec> parents) {
  if (!params.counts_are_calls) return parents[params.matrices + 1].byte_size / sizeof(float);
  return parents[params.matrices].byte_size / (params.columns * sizeof(float));
}

Status CheckGgml(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 const GgmlParams& params) {
  const uint64_t block = DTypeBlock(child.dtype);
  const uint64_t parent_bytes = DTypeBits(params.parent_dtype) / 8;
  const uint64_t count = child.elem_count() * block;
  for (const ObjectSpec& weights : parents.first(params.matrices)) {
    if (weights.byte_size % parent_bytes != 0) {
      return Corrupt("ggml: its parent has no whole elements");
    }
    const uint64_t of_parent = weights.byte_size / parent_bytes * DTypeBlock(params.parent_dtype);
    if (count == 0 || count % params.matrices != 0 || of_parent != count / params.matrices) {
      return Corrupt("ggml: its parents have not as many weights");
    }
  }
  if (block == 1 ? !codec::IsCodedFloat(child.dtype)
                 : codec::LayoutOfBlocks(child.dtype) == nullptr) {
    return Corrupt("ggml: it is of neither floats nor blocks");
  }
  if (count % params.columns != 0 || params.columns % block != 0 ||
      params.columns % DTypeBlock(params.parent_dtype) != 0) {
    return Corrupt("ggml: it is not of whole rows");
  }
  const uint64_t rows = count / params.columns;
  if (rows % params.matrices != 0) return Corrupt("ggml: it is not of whole matrices");
  const uint64_t per_chunk = child.chunk_elems * block;
  if (params.head_rows != 0) {
    if (rows % params.head_rows != 0) return Corrupt("ggml: it is not of whole heads");
    // A chunk takes whole heads, whichever part of one it has.
    const uint64_t head = params.head_rows * params.columns;
    if (head > kMostHeadWeights ||
        (head > per_chunk && per_chunk < count && head / per_chunk >= kMostHeadChunks)) {
      return LimitExceeded("ggml: a head has too many weights for its chunks");
    }
  }
  if (params.matrices > 1 && params.matrices > per_chunk / kFewestWeights) {
    return LimitExceeded("ggml: chunks are too short for so many matrices");
  }
  if (params.is_replayed) {
    if (!IsSearched(child.dtype)) return Corrupt("ggml: nobody makes such blocks again");
    if (per_chunk % params.columns != 0) return Corrupt("ggml: chunks are not of whole rows");
  } else if (block > 1 && GridOfBlocks(child.dtype) == nullptr) {
    return Corrupt("ggml: its codes follow from nothing");
  }
  if (params.has_importance) return CheckImportance(params, count, parents);
  return {};
}

}  // namespace qstore::scheme::ggml
