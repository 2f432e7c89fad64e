// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/status.h"
#include "scheme/grid/grid.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// The codes of BF16 patterns with one scale: e4m3(bf16(w / scale)), with quotients beyond 448
/// clamped. All 0 with a scale that IsFp8Scale refuses. docs/format-coding.md, "FP8".
void RoundToFp8(std::span<const std::byte> weights, float scale, uint8_t* codes);

/// Whether a scale leaves codes that follow from weights: it is finite and at least 2^-100, so that
/// no subnormal decides a code, which hosts may have flushed to zero.
bool IsFp8Scale(float scale);

/// Weights given codes and a scale.
const Grid& Fp8Grid();

/// The scales of a tensor: one for all of it, or one for each row.
struct Fp8Scales {
  std::span<const std::byte> bytes;  ///< BF16.
  uint64_t row_elems = 1;            ///< Elements that have the same one.

  float at(uint64_t row) const;
};

/// How many elements have the same scale, of a tensor of rows and its scales. kCorrupt when these
/// are neither one nor one for each row.
Result<uint64_t> Fp8RowElems(const ObjectSpec& tensor, const ObjectSpec& scales);

/// A linear layer's "weight", and "weight_scale" beside it, BF16: where that is in its table.
std::optional<size_t> FindFp8Scale(const TensorDesc& codes, const TensorTable& table);

}  // namespace qstore::scheme
