// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/isa.h"
#include "qstore/dtype.h"
#include "scheme/ggml/search/kernels/search_kernels.h"

// The blocks that ggml makes of rows of weights. docs/format-ggml.md, "Searches".

namespace qstore::scheme::ggml {

/// Whether QuantizeRows makes blocks of that type.
bool IsSearched(DType type);

/// The bytes that ggml makes of rows of `columns` weights, a multiple of DTypeBlock(type).
/// `importance`: one number a column, or empty. `out`: as many blocks as the weights fill. Weights
/// may be anything; where ggml's result is not defined, it is the same on every machine.
/// REQUIRES: IsSearched(type). Thread-safe.
void QuantizeRows(DType type, std::span<const float> weights, uint64_t columns,
                  std::span<const float> importance, std::span<std::byte> out,
                  SearchScratch* scratch);

/// The same by the loops for an instruction set that this machine has.
void QuantizeRowsFor(base::Isa isa, DType type, std::span<const float> weights, uint64_t columns,
                     std::span<const float> importance, std::span<std::byte> out,
                     SearchScratch* scratch);

}  // namespace qstore::scheme::ggml
