// SPDX-License-Identifier: Apache-2.0
#include "store/memory_needs.h"

#include <string>

namespace qstore::store {
namespace {

// Of a ChunkBatch and its coder, however small the chunks: payloads and contexts.
constexpr uint64_t kBatchBytes = uint64_t{2} << 20;
// Of a model of rows of kMaxWidth places (src/codec/row_model.h).
constexpr uint64_t kRowModelBytes = uint64_t{5} << 20;
// Of a plain coder, in bytes of its chunk: planes of bytes, and numbers by element.
constexpr uint64_t kPlainShare = 4;
// Rows of unpacked integers, and streams of them, are set apart by some cache lines.
constexpr uint64_t kRowGap = 512;

uint64_t ChunkBytes(const format::ObjectEntry& object) {
  return std::min(object.chunk_bytes(), object.byte_size);
}

// src/chain/gptq_rows.h: integers, nibbles and values in the order of groups; scales and zero
// points of the chunk's rows; orders of inputs and runs of groups.
uint64_t GptqFloatsBytes(const chain::ObjectSpec& spec, uint64_t chunk) {
  const uint64_t weights = chunk / 2;
  const uint64_t inputs = std::max<uint64_t>(1, spec.parent_shape.inputs);
  const uint64_t rows = weights / inputs + 1;
  const uint64_t groups = spec.parent_shape.groups;
  return 6 * weights + rows * (kRowGap + 5 * groups) + 8 * inputs + 64 * groups;
}

// src/chain/gptq_inputs.h: integers of both and nibbles of the chunk; all scales and zero points.
uint64_t GptqIntegersBytes(const chain::ObjectSpec& spec, uint64_t chunk) {
  const uint64_t weights = 8 * chunk / std::max(1U, spec.shape.bits);
  const uint64_t groups = spec.shape.groups + spec.parent_shape.groups;
  return 6 * weights + 5 * groups * spec.shape.outputs + 8 * spec.shape.inputs +
         16 * spec.shape.outputs;
}

uint64_t CoderBytes(const ArchiveFile& archive, uint32_t id) {
  const format::ObjectEntry& object = archive.index().objects[id];
  const uint64_t chunk = ChunkBytes(object);
  uint64_t bytes = kPlainShare * chunk;
  if (object.relation == Relation::kGptqFloats) {
    bytes = std::max(bytes, GptqFloatsBytes(archive.spec(id), chunk));
  } else if (object.relation == Relation::kGptqIntegers) {
    bytes = std::max(bytes, GptqIntegersBytes(archive.spec(id), chunk));
  }
  return bytes;
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
    for (const uint32_t parent : entry.whole_parents()) {
      MemoryNeeds inner;
      AddThreadNeeds(archive, parent, &inner);
      nested = std::max(nested, inner.thread);
    }
    if (!entry.has_chunked_base()) break;
    object = entry.base;
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

uint64_t AddWholeNeeds(const ArchiveFile& archive, uint32_t object,
                       std::unordered_set<uint32_t>* wholes) {
  uint64_t bytes = 0;
  while (true) {
    const format::ObjectEntry& entry = archive.index().objects[object];
    for (const uint32_t parent : entry.whole_parents())
      bytes += AddHeldWhole(archive, parent, wholes);
    if (!entry.has_chunked_base()) return bytes;
    object = entry.base;
  }
}

bool TakesWholes(const ArchiveFile& archive, uint32_t object) {
  while (true) {
    const format::ObjectEntry& entry = archive.index().objects[object];
    if (entry.whole_parents().count > 0) return true;
    if (!entry.has_chunked_base()) return false;
    object = entry.base;
  }
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
