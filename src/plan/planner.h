// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/level.h"
#include "qstore/status.h"
#include "scheme/chunk_coder.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"
#include "scheme/tensor_table.h"

namespace qstore::plan {

/// The order in which variants are coded, as indices into `variants`: quantized ones first, among
/// equals fewer tensor bytes first, then the given order. Parents of other variants are always of
/// earlier ones.
std::vector<size_t> OrderVariants(std::span<const scheme::TensorTable* const> variants);

/// An edge with access to content, to be measured.
struct Candidate {
  const scheme::Bound* bound = nullptr;
  std::vector<const ByteSource*> parents;  ///< As many as `bound` has.
};

/// Codes samples of `content` alone and under every candidate and returns the index of the
/// cheapest candidate, or nothing when no parent is better than none. Of what takes far more than
/// another only the first samples are coded, and read. Errors are read errors.
Result<std::optional<size_t>> ChooseParent(const scheme::ObjectSpec& spec,
                                           const ByteSource& content,
                                           std::span<const Candidate> candidates, Level level,
                                           scheme::ChunkCoder* coder);

}  // namespace qstore::plan
