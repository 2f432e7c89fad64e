// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>
#include <zstd_errors.h>

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/index.h"
#include "format/limits.h"

namespace qstore::format {
namespace {

using Bytes = std::vector<std::byte>;

// The index is small and read at every opening: a high level costs little time once and saves
// bytes for good.
constexpr int kIndexLevel = 12;

// Distance to the position expected, as an unsigned number: 0, -1, 1, -2, … become 0, 1, 2, 3, …
uint64_t Zigzag(uint64_t value, uint64_t expected) {
  const auto distance = static_cast<int64_t>(value - expected);
  return (static_cast<uint64_t>(distance) << 1) ^ static_cast<uint64_t>(distance >> 63);
}

// Columns keep like beside like, which zstd rewards.
template <class Rows, class Put>
void Column(const Rows& rows, const Put& put) {
  for (const auto& row : rows) put(row);
}

void Section(IndexSection kind, const Bytes& content, Bytes* out) {
  base::ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(kind));
  writer.Varint(content.size());
  writer.Bytes(content);
}

Bytes Variants(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  writer.Varint(index.variants.size());
  Column(index.variants, [&](const VariantEntry& v) { writer.String(v.name); });
  Column(index.variants, [&](const VariantEntry& v) { writer.Varint(v.files.size()); });
  return out;
}

Bytes Files(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  writer.Varint(index.files.size());
  Column(index.files, [&](const FileEntry& f) { writer.Fixed(f.container); });
  Column(index.files, [&](const FileEntry& f) { writer.Fixed(f.flags); });
  Column(index.files, [&](const FileEntry& f) { writer.String(f.path); });
  Column(index.files, [&](const FileEntry& f) { writer.Varint(f.size); });
  Column(index.files,
         [&](const FileEntry& f) { writer.Bytes(std::as_bytes(std::span(f.digest))); });
  Column(index.files, [&](const FileEntry& f) { writer.Varint(f.parts.size()); });
  Column(index.files, [&](const FileEntry& f) { writer.Varint(f.tensors.size()); });
  uint64_t expected = 0;
  Column(index.parts, [&](uint32_t object) {
    writer.Varint(Zigzag(object, expected));
    expected = object + uint64_t{1};
  });
  return out;
}

Bytes Tensors(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  writer.Varint(index.tensors.size());
  for (const FileEntry& file : index.files) {
    uint64_t expected = file.parts.begin;
    for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
      writer.Varint(Zigzag(index.tensors[t].part, expected));
      expected = index.tensors[t].part + uint64_t{1};
    }
  }
  const auto& rows = index.tensors;
  Column(rows, [&](const TensorEntry& t) { writer.Fixed(static_cast<uint8_t>(t.dtype)); });
  Column(rows, [&](const TensorEntry& t) { writer.Varint(t.rank); });
  Column(index.dims, [&](uint64_t dim) { writer.Varint(dim); });
  Column(rows, [&](const TensorEntry& t) { writer.Varint(t.name.size()); });
  Column(rows, [&](const TensorEntry& t) {
    writer.Bytes(std::as_bytes(std::span(t.name.data(), t.name.size())));
  });
  return out;
}

Bytes Objects(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  const auto& rows = index.objects;
  writer.Varint(rows.size());
  Column(rows, [&](const ObjectEntry& o) { writer.Fixed(static_cast<uint8_t>(o.dtype)); });
  Column(rows, [&](const ObjectEntry& o) { writer.Varint(o.byte_size); });
  Column(rows, [&](const ObjectEntry& o) { writer.Varint(o.row_elems); });
  Column(rows, [&](const ObjectEntry& o) { writer.Varint(o.chunk_elems); });
  Column(rows, [&](const ObjectEntry& o) { writer.Varint(o.scheme); });
  std::vector<uint32_t> with_scheme;
  for (uint32_t id = 0; id < rows.size(); ++id) {
    if (rows[id].scheme != kNoScheme) with_scheme.push_back(id);
  }
  Column(with_scheme, [&](uint32_t id) { writer.Varint(rows[id].params.size()); });
  Column(with_scheme, [&](uint32_t id) { writer.Bytes(rows[id].params); });
  Column(with_scheme, [&](uint32_t id) { writer.Varint(rows[id].parents.size()); });
  for (const uint32_t id : with_scheme) {
    for (const uint32_t parent : index.parents_of(rows[id])) writer.Varint(Zigzag(parent, id));
  }
  return out;
}

// Chunks whose payloads lie end to end: bytes before the first one that belong to none, and how
// many chunks there are.
void PutRuns(const std::vector<ChunkEntry>& chunks, base::ByteWriter* writer) {
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  uint64_t end = Header::kEncodedSize;
  for (const ChunkEntry& chunk : chunks) {
    if (runs.empty() || chunk.offset != end) runs.emplace_back(chunk.offset - end, 0);
    ++runs.back().second;
    end = chunk.offset + chunk.stored_size;
  }
  writer->Varint(runs.size());
  for (const auto& [gap, count] : runs) {
    writer->Varint(gap);
    writer->Varint(count);
  }
}

Bytes Chunks(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  const auto& rows = index.chunks;
  writer.Varint(rows.size());
  Column(rows, [&](const ChunkEntry& c) { writer.Fixed(static_cast<uint8_t>(c.codec)); });
  Column(rows, [&](const ChunkEntry& c) { writer.Varint(c.stored_size); });
  Column(rows, [&](const ChunkEntry& c) { writer.Fixed(c.checksum); });
  PutRuns(rows, &writer);
  return out;
}

Bytes Sha256(const Index& index) {
  Bytes out;
  base::ByteWriter writer(&out);
  Column(index.sha256, [&](const auto& digest) { writer.Bytes(std::as_bytes(std::span(digest))); });
  return out;
}

}  // namespace

Result<std::vector<std::byte>> EncodeIndex(const Index& index, Footer* footer) {
  Bytes raw;
  Section(IndexSection::kVariants, Variants(index), &raw);
  Section(IndexSection::kFiles, Files(index), &raw);
  Section(IndexSection::kTensors, Tensors(index), &raw);
  Section(IndexSection::kObjects, Objects(index), &raw);
  Section(IndexSection::kChunks, Chunks(index), &raw);
  if (!index.sha256.empty()) Section(IndexSection::kSha256, Sha256(index), &raw);
  if (raw.size() > kMaxIndexBytes) {
    return LimitExceeded("the index would take " + std::to_string(raw.size()) + " bytes");
  }
  Bytes stored(ZSTD_compressBound(raw.size()));
  const size_t size =
      ZSTD_compress(stored.data(), stored.size(), raw.data(), raw.size(), kIndexLevel);
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) {
    return LimitExceeded("no memory to compress the index");
  }
  if (ZSTD_isError(size) != 0) {
    return InternalError(std::string("zstd: ") + ZSTD_getErrorName(size));
  }
  stored.resize(size);
  footer->index_stored_size = size;
  footer->index_raw_size = raw.size();
  footer->index_checksum = base::Hash64(stored);
  return stored;
}

}  // namespace qstore::format
