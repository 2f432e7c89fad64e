// SPDX-License-Identifier: Apache-2.0
#include "store/parent_contents.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

Result<ParentContents> ParentContents::Fetch(
    const scheme::Bound& bound, std::span<const uint32_t> ids, const scheme::ChunkAt& at,
    std::optional<std::span<const std::byte>> chunk,
    const std::function<Result<WholeContent>(uint32_t object)>& get) {
  ParentContents contents;
  contents.bound_ = &bound;
  contents.count_ = ids.size();
  for (size_t p = 0; p < ids.size(); ++p) {
    const bool by_chunks = bound.TakeOf(p) == scheme::Take::kChunk;
    if (by_chunks && chunk) {
      contents.contents_[p] = {*chunk, false};
      continue;
    }
    QSTORE_ASSIGN(WholeContent whole, get(ids[p]));
    if (by_chunks) {
      const scheme::Region need = bound.NeedOf(p, at);
      whole.bytes = whole.bytes.subspan(need.begin, need.run);
    }
    contents.contents_[p] = {whole.bytes, !by_chunks};
    contents.held_.push_back(std::move(whole.held));
  }
  return contents;
}

}  // namespace qstore::store
