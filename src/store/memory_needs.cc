// SPDX-License-Identifier: Apache-2.0
#include "store/memory_needs.h"

#include <string>

#include "store/object_cache.h"

namespace qstore::store {
namespace {

// Of a ChunkBatch and its coder, however small the chunks: payloads and contexts.
constexpr uint64_t kBatchBytes = uint64_t{2} << 20;
// Of a model of rows of kMaxWidth places (src/codec/row_model.h).
constexpr uint64_t kRowModelBytes = uint64_t{5} << 20;
// Of codes of blocks by context (src/codec/context_rans.h).
constexpr uint64_t kBlockTableBytes = uint64_t{1} << 20;
// Of a plain coder, in bytes of its chunk: planes of bytes, and numbers by element.
constexpr uint64_t kPlainShare = 4;

uint64_t ChunkBytes(const format::ObjectEntry& object) {
  return std::min(object.chunk_bytes(), object.byte_size);
}

uint64_t CoderBytes(const ArchiveFile& archive, uint32_t id) {
  const format::ObjectEntry& object = archive.index().objects[id];
  const uint64_t chunk = ChunkBytes(object);
  const scheme::Bound* bound = archive.graph().bound(id);
  const uint64_t own = bound == nullptr ? 0 : bound->ScratchBytes(chunk);
  const unsigned block = DTypeBlock(object.dtype);
  // A thread has the streams of blocks by themselves beside what a scheme has.
  const uint64_t of_blocks =
      block == 1 ? 0 : uint64_t{3} * block * (chunk / object.elem_bytes()) + kBlockTableBytes;
  return std::max(kPlainShare * chunk, own) + of_blocks;
}

// A batch with scratch for each ancestor, and one inside of it for parents that are loaded whole.
void AddThreadNeeds(const ArchiveFile& archive, uint32_t id, MemoryNeeds* needs) {
  uint64_t chunk = 0;
  uint64_t coder = 0;
  uint64_t levels = 2;  // The payload, and the object's own content.
  uint64_t nested = 0;
  for (uint32_t object = id;; ++levels) {
    const format::ObjectEntry& entry = archive.index().objects[object];
    chunk = std::max(chunk, ChunkBytes(entry));
    coder = std::max(coder, CoderBytes(archive, object));
    const auto add_nested = [&](uint32_t parent) {
      MemoryNeeds inner;
      AddThreadNeeds(archive, parent, &inner);
      nested = std::max(nested, inner.thread);
    };
    for (const uint32_t parent : archive.graph().whole_parents(object)) add_nested(parent);
    // What a chunk takes of them is put together beside the chunks that have it.
    for (const auto& range : archive.graph().range_parents(object)) {
      add_nested(range.object);
      if (range.most_bytes == 0) continue;
      nested += range.most_bytes + ChunkBytes(archive.index().objects[range.object]);
    }
    object = archive.graph().chunk_parent(object);
    if (object == kNoObject) break;
  }
  needs->thread = kBatchBytes + levels * chunk + coder + nested;
  if (archive.has_rows()) needs->thread += kRowModelBytes;
  needs->chunk = chunk;
}

}  // namespace

uint64_t AddHeldWhole(const ArchiveFile& archive, uint32_t object,
                      std::unordered_set<uint32_t>* wholes) {
  if (!wholes->insert(object).second) return 0;
  return archive.index().objects[object].byte_size + AddWholeNeeds(archive, object, wholes);
}

uint64_t AddRangeNeeds(const ArchiveFile& archive, const ObjectGraph::RangeParent& range,
                       std::unordered_set<uint32_t>* wholes) {
  return range.most_bytes + range.most_chunks * ObjectCache::kEntryBytes +
         AddWholeNeeds(archive, range.object, wholes);
}

uint64_t AddWholeNeeds(const ArchiveFile& archive, uint32_t object,
                       std::unordered_set<uint32_t>* wholes) {
  uint64_t bytes = 0;
  for (; object != kNoObject; object = archive.graph().chunk_parent(object)) {
    for (const uint32_t parent : archive.graph().whole_parents(object)) {
      bytes += AddHeldWhole(archive, parent, wholes);
    }
    for (const auto& range : archive.graph().range_parents(object)) {
      bytes += AddRangeNeeds(archive, range, wholes);
    }
  }
  return bytes;
}

bool TakesWholes(const ArchiveFile& archive, uint32_t object) {
  for (; object != kNoObject; object = archive.graph().chunk_parent(object)) {
    if (!archive.graph().whole_parents(object).empty()) return true;
    if (!archive.graph().range_parents(object).empty()) return true;
  }
  return false;
}

MemoryNeeds NeedsOf(const ArchiveFile& archive, uint32_t object) {
  MemoryNeeds needs;
  needs.object = object;
  AddThreadNeeds(archive, object, &needs);
  std::unordered_set<uint32_t> wholes;
  needs.wholes = AddWholeNeeds(archive, object, &wholes);
  return needs;
}

Result<MemoryShares> ShareMemory(const ArchiveFile& archive, const MemoryNeeds& needs,
                                 unsigned threads, uint64_t item_bytes, uint64_t memory) {
  const uint64_t each = std::max<uint64_t>(1, needs.thread + item_bytes);
  if (needs.wholes > memory || each > memory - needs.wholes) {
    return archive.BeyondMemory("decoding " + archive.Describe(needs.object), needs.wholes + each);
  }
  const uint64_t rest = memory - needs.wholes;
  MemoryShares shares;
  shares.threads =
      static_cast<unsigned>(std::clamp<uint64_t>(rest / each, 1, std::max(1U, threads)));
  const uint64_t for_items = rest - shares.threads * needs.thread;
  const uint64_t most = 3 * uint64_t{shares.threads};
  shares.items = item_bytes == 0 ? most : std::min(most, for_items / item_bytes);
  shares.wholes = memory - shares.threads * needs.thread - shares.items * item_bytes;
  return shares;
}

}  // namespace qstore::store
