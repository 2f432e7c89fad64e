// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::scheme::ggml {

/// The type that weights were rounded to before they became blocks.
enum class Via : uint8_t { kNone = 0, kF16 = 1, kBF16 = 2 };

/// Parameters of the scheme `ggml`. docs/format-ggml.md, "Scheme".
struct GgmlParams {
  /// Blocks are made again as ggml makes them; else only codes are, from the scales stored.
  bool is_replayed = false;
  /// Of the columns, by two more parents: sums of squares of activations, and how many.
  bool has_importance = false;
  /// The counts are the calls of the older form of importance matrices, one I32 for all sums.
  bool counts_are_calls = false;
  bool plus_one = false;  ///< As norms of Gemma have it.
  /// The matrix has the rows of the child for columns, as GPT-2 has its weights.
  bool is_transposed = false;
  Via via = Via::kNone;
  DType parent_dtype = DType::kBF16;
  uint64_t columns = 1;    ///< Weights in a row, the innermost dimension.
  uint64_t matrices = 1;   ///< Parents, each with as many rows: experts are matrices of their own.
  uint64_t head_rows = 0;  ///< Rows of a head whose halves take turns; 0 where rows keep places.
};

std::vector<std::byte> WriteGgmlParams(const GgmlParams& params);
/// Errors: kCorrupt naming the rule.
Result<GgmlParams> ReadGgmlParams(std::span<const std::byte> bytes);

}  // namespace qstore::scheme::ggml
