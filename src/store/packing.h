// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "qstore/level.h"
#include "scheme/registry.h"

namespace qstore::store {

/// Cuts a tensor of words that hold several weights each as the scheme says that packs it; leaves
/// others as they are. `others` are the tables of other variants.
inline void SetPacking(const scheme::TensorDesc& tensor, const scheme::TensorTable& own,
                       std::span<const scheme::TensorTable* const> others, Level level,
                       scheme::ObjectSpec* spec) {
  for (const scheme::Scheme* each : scheme::Schemes()) {
    const auto packing = each->PackingOf(tensor, own, others, level);
    if (!packing) continue;
    spec->chunk_elems = packing->chunk_elems;
    spec->sample_elems = packing->sample_elems;
    spec->packed_weights = packing->packed_weights;
    return;
  }
}

}  // namespace qstore::store
