// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "chain/bins_coder.h"
#include "chain/gptq_coder.h"
#include "chain/object_spec.h"
#include "chain/repeats.h"
#include "codec/floating.h"
#include "codec/general.h"
#include "codec/rows.h"

namespace qstore::chain {

/// What one thread needs to encode and decode chunks.
struct ChunkScratch {
  codec::PlaneScratch planes;
  BinsScratch bins;
  GptqScratch gptq;
  RepeatScratch repeats;
  codec::Zstd zstd;
  codec::RowScratch rows;
  std::vector<std::byte> candidate;
  std::vector<std::byte> other;
};

/// No rows where `count` elements do not make whole ones.
inline codec::RowShape RowsOf(const ObjectSpec& spec, uint64_t count) {
  if (count % spec.row_elems != 0) return {};
  return {static_cast<size_t>(count / spec.row_elems), static_cast<size_t>(spec.row_elems)};
}

/// Where a chunk begins in its matrix.
inline RowRange RangeOf(const ObjectSpec& spec, uint64_t chunk) {
  return {spec.first_elem(chunk), spec.row_elems};
}

/// The first input of a chunk of packed integers.
inline uint64_t FirstInput(const ObjectSpec& spec, uint64_t chunk) {
  return 32 * spec.first_elem(chunk) / (spec.shape.outputs * spec.shape.bits);
}

}  // namespace qstore::chain
