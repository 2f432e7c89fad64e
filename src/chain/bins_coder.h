// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::chain {

/// The part of a tensor that a chunk covers, as rows.
struct RowRange {
  uint64_t first_elem = 0;  ///< Index of the chunk's first element in the tensor.
  uint64_t row_elems = 1;   ///< Elements in a row; the scale of element e is scales[e / row_elems].
};

/// Scratch memory of EncodeBins and DecodeBins.
struct BinsScratch {
  codec::PlaneScratch planes;
  std::vector<uint8_t> floor_bits;
  std::vector<uint8_t> extra_bits;
  std::vector<std::byte> wide;
  std::vector<uint32_t> listed;
  std::vector<uint16_t> index;
  std::vector<uint16_t> codes;
  std::vector<uint8_t> low;
};

/// Appends floats (`raw`, patterns of `dtype`: BF16, F16 or F32) given their LLM.int8() twin: `q`,
/// one signed byte an element, and `scales`, the F32 absmax of every row of the tensor. Codes the
/// index in the bin as a truncated binary code in two bit streams, four to a number with rANS
/// effort; values outside their bin are listed. Returns the number of values listed.
/// docs/format-coding.md, "Bins".
size_t EncodeBins(DType dtype, codec::Effort effort, const RowRange& range,
                  std::span<const std::byte> raw, std::span<const std::byte> q,
                  std::span<const std::byte> scales, BinsScratch* scratch,
                  std::vector<std::byte>* out);

/// The inverse; fills `raw`. kCorrupt when `payload` is no such stream.
Status DecodeBins(DType dtype, const RowRange& range, base::ByteReader* payload,
                  std::span<const std::byte> q, std::span<const std::byte> scales,
                  BinsScratch* scratch, std::span<std::byte> raw);

}  // namespace qstore::chain
