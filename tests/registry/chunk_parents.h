// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "scheme/chunk_coder.h"

namespace qstore::testing {

/// What a chunk takes of parents of which the whole contents are given.
class ChunkParents {
 public:
  ChunkParents(const scheme::Bound* bound, const std::vector<std::vector<std::byte>>& parents,
               const scheme::ObjectSpec& spec, uint64_t chunk)
      : bound_(bound) {
    if (bound == nullptr) return;
    const scheme::ChunkAt at{spec.first_elem(chunk), spec.chunk_elem_count(chunk)};
    for (size_t p = 0; p < parents.size(); ++p) {
      if (bound->TakeOf(p) == scheme::Take::kWhole) {
        contents_.push_back({parents[p], true});
        continue;
      }
      const scheme::Region need = bound->NeedOf(p, at);
      std::vector<std::byte>& range = ranges_.emplace_back(need.size());
      scheme::CopyRegion(need, 0, parents[p], range);
      contents_.push_back({range, false});
    }
  }
  scheme::Given given() const { return {bound_, contents_}; }

 private:
  const scheme::Bound* bound_;
  std::vector<std::vector<std::byte>> ranges_;
  std::vector<scheme::ParentContent> contents_;
};

}  // namespace qstore::testing
