// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>
#include <zstd_errors.h>

#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "format/index.h"
#include "format/index_tables.h"

namespace qstore::format {
namespace {

// ZSTD_decompress takes several frames for one, and frames without content beside them.
bool IsOneFrame(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof(uint32_t) &&
         base::LoadLe<uint32_t>(bytes.data()) == ZSTD_MAGICNUMBER &&
         ZSTD_findFrameCompressedSize(bytes.data(), bytes.size()) == bytes.size();
}

Status DecodeSections(Index* index, TableMemory* memory) {
  base::ByteReader sections(index->storage.bytes());
  TableDecoder tables(index, memory);
  bool complete = false;
  unsigned last = 0;
  for (unsigned expected = 1; sections.remaining() > 0;) {
    const unsigned kind = sections.Fixed<uint8_t>();
    base::ByteReader content(sections.Bytes(sections.Varint()));
    if (!sections.ok()) return Corrupt("the index ends inside a section");
    if (kind <= last) return Corrupt("sections of the index are not in order");
    last = kind;
    const bool must_be = kind < kFirstSkippableSection;
    if (!must_be && kind != static_cast<unsigned>(IndexSection::kSha256)) continue;
    if (must_be && kind > static_cast<unsigned>(IndexSection::kChunks)) {
      return UnknownNumber("index section", kind);
    }
    if (must_be ? kind != expected : !complete) {
      return Corrupt("a section of the index is missing");
    }
    QSTORE_TRY(tables.Decode(static_cast<IndexSection>(kind), &content));
    if (!content.ok() || content.remaining() != 0) {
      return Corrupt("section " + std::to_string(kind) + " of the index has a wrong length");
    }
    if (must_be) ++expected;
    complete = expected > static_cast<unsigned>(IndexSection::kChunks);
  }
  return complete ? Status() : Corrupt("a section of the index is missing");
}

}  // namespace

uint64_t Index::memory() const {
  const auto bytes = [](const auto& table) { return table.capacity() * sizeof(table[0]); };
  return storage.bytes().size() + bytes(variants) + bytes(files) + bytes(parts) + bytes(tensors) +
         bytes(dims) + bytes(objects) + bytes(parents) + bytes(chunks) + bytes(sha256);
}

Result<Index> DecodeIndex(std::span<const std::byte> stored, const Footer& footer,
                          uint64_t max_memory, Gaps gaps) {
  TableMemory memory(max_memory);
  QSTORE_TRY(memory.Take(stored.size()));
  if (base::Hash64(stored) != footer.index_checksum) {
    return Corrupt("checksum of the index differs");
  }
  if (!IsOneFrame(stored) ||
      ZSTD_getFrameContentSize(stored.data(), stored.size()) != footer.index_raw_size) {
    return Corrupt("the index is not one zstd frame of the size given");
  }
  Index index;
  QSTORE_TRY(memory.Take(footer.index_raw_size));
  QSTORE_ASSIGN(index.storage, PageMemory::Allocate(static_cast<size_t>(footer.index_raw_size)));
  const std::span<std::byte> raw = index.storage.bytes();
  const size_t size = ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size());
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) {
    return LimitExceeded("no memory to decompress the index");
  }
  if (ZSTD_isError(size) != 0 || size != raw.size()) {
    return Corrupt("the index does not decompress");
  }
  QSTORE_TRY(DecodeSections(&index, &memory));
  // What the check notes of every object and part.
  QSTORE_TRY(memory.Take(3 * uint64_t{index.objects.size()} + index.parts.size()));
  QSTORE_TRY(CheckIndex(index, footer, gaps));
  return index;
}

}  // namespace qstore::format
