// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/blocks/block_layout.h"
#include "qstore/dtype.h"

// What weights the codes of ggml's blocks stand for, given their scales. docs/format-ggml.md,
// "Grids". Facts of ggml (MIT).

namespace qstore::scheme::ggml {

/// Numbers that codes stand for.
enum class Numbers : uint8_t {
  kLinear,    ///< code - bias.
  kSigned,    ///< Bytes with a sign, from -127 on.
  kTable,     ///< Those of IQ4, ascending.
  kMiniFloat  ///< Twice those of E2M1.
};

/// A weight is step * number + offset, with the step and the offset of its sub-block.
struct BlockGrid {
  unsigned per_sub = 32;  ///< Weights of a sub-block.
  Numbers numbers = Numbers::kLinear;
  int bias = 0;
  int top = 0;  ///< The largest code.
  bool has_offset = false;
  /// Of `count` blocks, a step and an offset for each sub-block. An offset is set only where the
  /// grid has one.
  void (*scales)(const uint8_t* const* streams, size_t count, float* steps,
                 float* offsets) = nullptr;
};

/// Null for types whose codes stand for no such numbers.
const BlockGrid* GridOfBlocks(DType dtype);

/// Steps and offsets of some blocks.
struct SubScales {
  std::vector<float> steps;
  std::vector<float> offsets;

  void Fill(const BlockGrid& grid, unsigned weights, const uint8_t* const* streams, size_t count);
};

/// Fills `values` with the weights that codes stand for, sub-block by sub-block.
void ValuesOfCodes(const BlockGrid& grid, const SubScales& scales, const uint8_t* codes,
                   std::span<float> values);

/// The nearest codes of weights, the first of which is that of sub-block `first_sub`; 0's where the
/// step is 0. `places`, where given, says between which
/// codes each weight lies: see near_coder.h.
void NearestCodes(const BlockGrid& grid, const SubScales& scales, size_t first_sub,
                  std::span<const float> weights, uint8_t* codes, uint8_t* places);

/// BF16 as F32.
void ValuesOfBf16(std::span<const std::byte> content, std::span<float> values);

}  // namespace qstore::scheme::ggml
