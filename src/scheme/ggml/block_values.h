// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "codec/blocks/blocks.h"
#include "qstore/dtype.h"
#include "scheme/ggml/block_grid.h"

namespace qstore::scheme::ggml {

/// Types that ValuesOf knows the weights of: F32, F16, BF16, and blocks with a grid.
bool HasValues(DType dtype);

/// What putting blocks into numbers takes.
struct ValueScratch {
  codec::BlockScratch blocks;
  SubScales scales;
};

/// Fills `values` with the weights that elements of that type are, as ggml has them.
/// REQUIRES: HasValues; as many elements as the values fill.
void ValuesOf(DType dtype, std::span<const std::byte> content, ValueScratch* scratch,
              std::span<float> values);

/// The inverse for F32, F16 and BF16: to the nearest, ties to even. `out` has room for as many.
void RoundTo(DType dtype, std::span<const float> values, std::span<std::byte> out);

}  // namespace qstore::scheme::ggml
