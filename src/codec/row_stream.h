// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/row_model.h"
#include "codec/row_promise.h"
#include "codec/row_symbols.h"
#include "qstore/status.h"

namespace qstore::codec {

/// How the elements of a chunk form a matrix: `rows` whole rows of `columns`.
struct RowShape {
  size_t rows = 0;
  size_t columns = 0;
};

/// Memory of the coders below; grown as needed, reused from chunk to chunk.
struct RowScratch {
  RowModel model;
  std::vector<uint16_t> symbols;  // By element.
  RowSample sample;
  // Of the encoder, in the order of coding.
  std::vector<uint16_t> coded;
  std::vector<float> means;
  std::vector<float> deviations;
  std::vector<float> best_means;
  std::vector<float> best_deviations;
};

/// Appends the row stream of scratch->symbols, which are shape.rows * shape.columns in the order of
/// the elements: each by the normal distribution that RowModel expects, whose shape is sent.
/// docs/format-coding.md, "Row streams". Returns false, and appends nothing, when the stream would
/// take more than about `limit` bytes.
bool EncodeRowStream(const RowSymbols& symbols, const RowShape& shape, size_t limit,
                     RowScratch* scratch, std::vector<std::byte>* out);

/// The inverse, to scratch->symbols. kCorrupt when `payload` is not such a stream.
Status DecodeRowStream(const RowSymbols& symbols, const RowShape& shape, base::ByteReader* payload,
                       RowScratch* scratch);

}  // namespace qstore::codec
