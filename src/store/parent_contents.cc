// SPDX-License-Identifier: Apache-2.0
#include "store/parent_contents.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

Result<ParentContents> ParentContents::Fetch(const scheme::Bound& bound,
                                             std::span<const uint32_t> ids,
                                             const scheme::ChunkAt& at,
                                             std::optional<std::span<const std::byte>> chunk,
                                             const ParentAccess& access, RangeMemory* ranges) {
  ParentContents contents;
  contents.bound_ = &bound;
  contents.contents_.resize(ids.size());
  for (size_t p = 0; p < ids.size(); ++p) {
    const scheme::Take take = bound.TakeOf(p);
    const bool by_chunks = take == scheme::Take::kChunk;
    if (by_chunks && chunk) {
      contents.contents_[p] = {*chunk, false};
      continue;
    }
    if (take == scheme::Take::kRange) {
      QSTORE_TRY(contents.FetchRange(bound.NeedOf(p, at), p, ids[p], access, ranges));
      continue;
    }
    QSTORE_ASSIGN(WholeContent whole, access.get(ids[p]));
    if (by_chunks) {
      const scheme::Region need = bound.NeedOf(p, at);
      whole.bytes = whole.bytes.subspan(need.begin, need.run);
    }
    contents.contents_[p] = {whole.bytes, !by_chunks};
    contents.held_.push_back(std::move(whole.held));
  }
  return contents;
}

// One run within one chunk is taken where it is; whatever else is put together, a chunk at a time.
Status ParentContents::FetchRange(const scheme::Region& need, size_t parent, uint32_t id,
                                  const ParentAccess& access, RangeMemory* ranges) {
  contents_[parent] = {{}, false};
  if (need.size() == 0) return {};
  const uint64_t chunk_bytes = access.chunk_bytes(id);
  const auto [first, end] = scheme::ChunksOf(need, chunk_bytes);
  if (need.runs == 1 && end - first == 1) {
    QSTORE_ASSIGN(WholeContent part, access.get({id, static_cast<uint32_t>(first)}));
    contents_[parent].bytes = part.bytes.subspan(need.begin - first * chunk_bytes, need.run);
    held_.push_back(std::move(part.held));
    return {};
  }
  // Of many parents a chunk takes few.
  const size_t place = ranges_used_++;
  if (ranges->size() <= place) ranges->resize(place + 1);
  std::vector<std::byte>& out = (*ranges)[place];
  if (out.size() < need.size()) out.resize(need.size());
  contents_[parent].bytes = std::span(out).first(need.size());
  Status status;
  scheme::ForEachChunk(need, chunk_bytes, [&](uint64_t chunk) {
    if (!status.ok()) return;
    const auto part = access.get({id, static_cast<uint32_t>(chunk)});
    status = part.status();
    if (part.ok()) scheme::CopyRegion(need, chunk * chunk_bytes, part->bytes, out);
  });
  return status;
}

}  // namespace qstore::store
