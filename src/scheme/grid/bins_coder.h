// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "codec/kernels/kernels.h"
#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/grid/grid.h"

namespace qstore::scheme {

/// Elements of a chunk, as rows of one scale each.
struct RowRange {
  uint64_t first_elem = 0;  ///< Counted from the first element of the first row.
  uint64_t row_elems = 1;
};

/// What the codes of a chunk say of its floats.
struct Codes {
  const Grid& grid;
  RowRange range;
  /// One an element, as signed bytes: the magnitude of one that has bins, and the sign.
  std::span<const std::byte> q;
  std::span<const float> scales;  ///< Of the rows; that of element e is scales[e / row_elems].
};

/// The bins of a scale that were found last.
struct KnownBins {
  bool is_known = false;
  uint32_t scale = 0;  ///< Its pattern.
  codec::BinTable8 table;
};

/// Scratch memory of EncodeBins and DecodeBins.
struct BinsScratch {
  std::vector<KnownBins> known;  ///< By a part of the scale's pattern.
  codec::PlaneScratch planes;
  std::vector<uint8_t> floor_bits;
  std::vector<uint8_t> extra_bits;
  std::vector<std::byte> wide;
  std::vector<uint32_t> listed;
  std::vector<uint16_t> index;
  std::vector<uint16_t> codes;
  std::vector<uint8_t> low;
  // For schemes, whose codes or scales are not in this form.
  std::vector<std::byte> q;
  std::vector<float> scales;
};

/// Appends floats (`raw`, patterns of `dtype`: BF16, F16 or F32) given their codes. Codes the index
/// in the bin as a truncated binary code in two bit streams, four to a number with rANS effort;
/// values outside their bin are listed. Returns the number of values listed.
/// docs/format-coding.md, "Bins".
size_t EncodeBins(DType dtype, codec::Effort effort, const Codes& codes,
                  std::span<const std::byte> raw, BinsScratch* scratch,
                  std::vector<std::byte>* out);

/// The inverse; fills `raw`. kCorrupt when `payload` is no such stream.
Status DecodeBins(DType dtype, const Codes& codes, base::ByteReader* payload, BinsScratch* scratch,
                  std::span<std::byte> raw);

}  // namespace qstore::scheme
