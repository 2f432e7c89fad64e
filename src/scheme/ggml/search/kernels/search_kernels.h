// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The loops of searches, compiled for each instruction set. Every step is a single IEEE operation
// for each element, or one of integers, and sums run in an order that does not depend on the
// width of vectors, so that all tables give the same bytes. docs/format-ggml.md.

namespace qstore::scheme::ggml {

/// Memory that a thread works in; what is in it between calls has no meaning.
struct SearchScratch {
  /// As many groups of weights as are searched at once, at most, and the weights of a group.
  static constexpr size_t kMaxLanes = 32;
  static constexpr size_t kMaxElems = 32;
  /// Groups of as many blocks.
  static constexpr size_t kMaxGroups = 16 * kMaxLanes;

  using Lanes = float[kMaxElems * kMaxLanes];
  alignas(64) Lanes weights;
  alignas(64) Lanes errors;
  alignas(64) Lanes codes;
  /// Of each group: the scale, the floor, the factor and the offset by which codes were found, and
  /// the sum of the weights of errors.
  alignas(64) float scales[kMaxGroups];
  alignas(64) float floors[kMaxGroups];
  alignas(64) float factors[kMaxGroups];
  alignas(64) float offsets[kMaxGroups];
  alignas(64) float sums[kMaxGroups];
  /// Levels of scales and floors.
  uint8_t levels[2][kMaxGroups];
};

struct SearchedRows {
  const float* weights;
  size_t rows;
  size_t columns;
  const float* importance;  ///< By column, or null.
  uint8_t* out;
  SearchScratch* scratch;
};

/// By types of blocks.
struct SearchKernels {
  using Quantizer = void (*)(const SearchedRows& rows);
  Quantizer q2_k, q3_k, q4_k, q5_k, q6_k;
  Quantizer iq4_nl, iq4_xs;
  Quantizer q4_0, q4_1, q5_0, q5_1, q8_0;
  Quantizer tq1_0, tq2_0;
  Quantizer mxfp4, nvfp4;
};

extern const SearchKernels kScalarSearch;
extern const SearchKernels kAvx2Search;
extern const SearchKernels kAvx512Search;

}  // namespace qstore::scheme::ggml
