// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/row_symbols.h"

namespace qstore::codec {

/// How RowModel meets a matrix: element `r` of its row `p` is symbol p * place_step + r * row_step.
struct RowLayout {
  size_t places = 0;
  size_t place_step = 0;
  size_t rows = 0;
  size_t row_step = 0;
  size_t width = 0;  ///< Places of a block, by which alone each place is expected.
};

/// Memory of the function below; grown as needed.
struct RowSample {
  std::vector<float> by_place;
  std::vector<float> by_row;
  std::vector<float> products;
  std::vector<uint32_t> counts;
};

/// Bits that RowModel, with a prior of `ridge` rows, is expected to take for all of `of`: their
/// entropy, less what is gained by the means and deviations of places and rows and by the
/// correlations of places, more what it costs to learn these. Gains are taken for large, by terms
/// of first order, and judged by some rows of some places, in a small part of the model's own time.
/// The same on every machine but for rounding, on which only the choice of a codec depends.
double PromiseBits(const RowSymbols& symbols, std::span<const uint16_t> of, const RowLayout& layout,
                   double ridge, RowSample* sample);

}  // namespace qstore::codec
