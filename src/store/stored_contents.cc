// SPDX-License-Identifier: Apache-2.0
#include "store/stored_contents.h"

#include <algorithm>

#include "base/status_macros.h"
#include "store/chunk_batch.h"
#include "store/memory_needs.h"

namespace qstore::store {
namespace {

// Codes and their scales follow from the same tensor, one after the other.
constexpr uint64_t kKeptBytes = uint64_t{128} << 20;

}  // namespace

StoredContents::StoredContents(const ArchiveFile* archive)
    : archive_(*archive),
      cache_({[this](ContentId id) { return WholeShape(archive_, id); },
              [this](ContentId id, size_t block, std::span<std::byte> content) {
                return DecodeBlock(archive_, nullptr, id, block, &cache_, content);
              },
              [this](uint32_t object) { return NeedsOf(archive_, object).wholes; }},
             UINT64_MAX, kKeptBytes) {}

Status StoredContents::Read(uint32_t object, uint64_t offset, std::span<std::byte> out) {
  const format::ObjectEntry& entry = archive_.index().objects[object];
  while (!out.empty()) {
    const auto chunk = static_cast<uint32_t>(offset / entry.chunk_bytes());
    const uint64_t size = archive_.index().chunk_raw_size(entry, chunk);
    const uint64_t begin = offset - chunk * entry.chunk_bytes();
    const auto part = out.first(static_cast<size_t>(std::min<uint64_t>(size - begin, out.size())));
    QSTORE_ASSIGN(const WholeContent content, cache_.Get({object, chunk}));
    const auto from = content.bytes.subspan(begin, part.size());
    std::copy(from.begin(), from.end(), part.begin());
    offset += part.size();
    out = out.subspan(part.size());
  }
  return {};
}

}  // namespace qstore::store
