// SPDX-License-Identifier: Apache-2.0
#include "format/index_tables.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/status_macros.h"
#include "format/limits.h"

namespace qstore::format {
namespace {

uint64_t Unzigzag(uint64_t code, uint64_t expected) {
  return expected + ((code >> 1) ^ (uint64_t{0} - (code & 1)));
}

// Least bytes of a row on disk: what bounds a table's memory by the bytes that are there.
constexpr uint64_t kVariantRowBytes = 3;
constexpr uint64_t kFileRowBytes = 23;
constexpr uint64_t kTensorRowBytes = 4;
constexpr uint64_t kObjectRowBytes = 5;
constexpr uint64_t kChunkRowBytes = 10;

// Hands out the next `count` positions of a table.
Status Take(uint64_t count, uint32_t* next, Range* range) {
  if (count > UINT32_MAX - *next) return Corrupt("a table of the index has no room");
  range->begin = *next;
  *next += static_cast<uint32_t>(count);
  range->end = *next;
  return {};
}

Status ReadDType(base::ByteReader* in, DType* dtype) {
  const auto code = in->Fixed<uint8_t>();
  if (code >= kDTypeCount) return UnknownNumber("dtype", code);
  *dtype = static_cast<DType>(code);
  return {};
}

}  // namespace

Status TableMemory::Take(uint64_t bytes) {
  if (bytes > left_) {
    return LimitExceeded("the index takes more than the " + std::to_string(most_) +
                         " bytes of memory allowed (max_memory)");
  }
  left_ -= bytes;
  return {};
}

template <class Row>
Status TableDecoder::Grow(uint64_t count, std::vector<Row>* rows) {
  QSTORE_TRY(memory_.Take(count * sizeof(Row)));
  ResizeTable(static_cast<size_t>(count), rows);
  return {};
}

template <class Row>
Status TableDecoder::Resize(base::ByteReader* in, uint64_t row_bytes, std::vector<Row>* rows) {
  const uint64_t count = in->Varint();
  if (count > in->remaining() / row_bytes) return Corrupt("a table of the index has no room");
  return Grow(count, rows);
}

Status TableDecoder::Decode(IndexSection table, base::ByteReader* in) {
  switch (table) {
    case IndexSection::kVariants:
      return Variants(in);
    case IndexSection::kFiles:
      return Files(in);
    case IndexSection::kTensors:
      return Tensors(in);
    case IndexSection::kObjects:
      return Objects(in);
    case IndexSection::kChunks:
      return Chunks(in);
    case IndexSection::kSha256:
      return Sha256(in);
  }
  return InternalError("no such section");
}

Status TableDecoder::Variants(base::ByteReader* in) {
  QSTORE_TRY(Resize(in, kVariantRowBytes, &index_.variants));
  if (index_.variants.size() > kMaxVariants) return LimitExceeded("more than 1024 variants");
  for (VariantEntry& v : index_.variants) v.name = in->String();
  uint32_t next = 0;
  for (VariantEntry& v : index_.variants) QSTORE_TRY(Take(in->Varint(), &next, &v.files));
  file_count_ = next;
  return {};
}

Status TableDecoder::Files(base::ByteReader* in) {
  QSTORE_TRY(Resize(in, kFileRowBytes, &index_.files));
  auto& rows = index_.files;
  if (rows.size() != file_count_) return Corrupt("files of the variants do not add up");
  for (FileEntry& f : rows) f.container = in->Fixed<uint8_t>();
  for (FileEntry& f : rows) {
    f.flags = in->Fixed<uint8_t>();
    if (f.flags > kKnownFileFlags) return UnknownNumber("file flag", f.flags);
  }
  for (FileEntry& f : rows) f.path = in->String();
  for (FileEntry& f : rows) f.size = in->Varint();
  for (FileEntry& f : rows) {
    const auto digest = in->Bytes(f.digest.size());
    if (digest.empty()) return Corrupt("the file table is cut short");
    std::memcpy(f.digest.data(), digest.data(), f.digest.size());
  }
  uint32_t next = 0;
  for (FileEntry& f : rows) QSTORE_TRY(Take(in->Varint(), &next, &f.parts));
  const uint32_t part_count = next;
  next = 0;
  for (FileEntry& f : rows) QSTORE_TRY(Take(in->Varint(), &next, &f.tensors));
  tensor_count_ = next;
  if (part_count > in->remaining()) return Corrupt("the part table has no room");
  QSTORE_TRY(Grow(part_count, &index_.parts));
  uint64_t expected = 0;
  for (uint32_t& object : index_.parts) {
    const uint64_t id = Unzigzag(in->Varint(), expected);
    if (id > UINT32_MAX) return Corrupt("a part names no object");
    object = static_cast<uint32_t>(id);
    expected = id + 1;
  }
  return {};
}

// A row for each file.
Status TableDecoder::Sha256(base::ByteReader* in) {
  QSTORE_TRY(Grow(index_.files.size(), &index_.sha256));
  for (auto& row : index_.sha256) {
    const auto digest = in->Bytes(row.size());
    if (digest.empty()) return Corrupt("the table of SHA-256 is cut short");
    std::memcpy(row.data(), digest.data(), row.size());
  }
  return {};
}

Status TableDecoder::Tensors(base::ByteReader* in) {
  QSTORE_TRY(Resize(in, kTensorRowBytes, &index_.tensors));
  auto& rows = index_.tensors;
  if (rows.size() != tensor_count_) return Corrupt("tensors of the files do not add up");
  for (const FileEntry& file : index_.files) {
    uint64_t expected = file.parts.begin;
    for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
      const uint64_t part = Unzigzag(in->Varint(), expected);
      if (part < file.parts.begin || part >= file.parts.end) {
        return Corrupt("a tensor lies outside its file");
      }
      rows[t].part = static_cast<uint32_t>(part);
      expected = part + 1;
    }
  }
  for (TensorEntry& t : rows) {
    QSTORE_TRY(ReadDType(in, &t.dtype));
  }
  uint64_t dims = 0;
  for (TensorEntry& t : rows) {
    const uint64_t rank = in->Varint();
    if (rank > kMaxRank) return LimitExceeded("a tensor of rank " + std::to_string(rank));
    t.rank = static_cast<uint16_t>(rank);
    t.shape_begin = static_cast<uint32_t>(dims);
    dims += rank;
    if (dims > in->remaining()) return Corrupt("the shapes have no room");
  }
  QSTORE_TRY(Grow(dims, &index_.dims));
  for (uint64_t& dim : index_.dims) dim = in->Varint();
  return TensorNames(in);
}

Status TableDecoder::TensorNames(base::ByteReader* in) {
  base::ByteReader names = *in;
  for (size_t i = 0; i < index_.tensors.size(); ++i) names.Varint();
  for (TensorEntry& t : index_.tensors) {
    const uint64_t size = in->Varint();
    if (size > kMaxTensorNameBytes) return LimitExceeded("a tensor name beyond 65535 bytes");
    const auto bytes = names.Bytes(size);
    t.name = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  if (!names.ok()) return Corrupt("the tensor names are cut short");
  *in = names;
  return {};
}

Status TableDecoder::Objects(base::ByteReader* in) {
  QSTORE_TRY(Resize(in, kObjectRowBytes, &index_.objects));
  auto& rows = index_.objects;
  for (ObjectEntry& o : rows) {
    QSTORE_TRY(ReadDType(in, &o.dtype));
    if (o.elem_bytes() == 0) return Corrupt("an object's elements are no whole bytes");
  }
  for (ObjectEntry& o : rows) o.byte_size = in->Varint();
  for (ObjectEntry& o : rows) o.row_elems = in->Varint();
  for (ObjectEntry& o : rows) o.chunk_elems = in->Varint();
  QSTORE_TRY(Schemes(in));
  return Parents(in);
}

// Numbers and parameters. What a scheme makes of them is for whoever binds objects to their
// parents.
Status TableDecoder::Schemes(base::ByteReader* in) {
  auto& rows = index_.objects;
  for (ObjectEntry& o : rows) {
    const uint64_t scheme = in->Varint();
    if (scheme > UINT16_MAX) return Corrupt("a scheme's number is beyond 16 bits");
    o.scheme = static_cast<SchemeId>(scheme);
  }
  base::ByteReader params = *in;
  for (const ObjectEntry& o : rows) {
    if (o.scheme != kNoScheme) params.Varint();
  }
  for (ObjectEntry& o : rows) {
    if (o.scheme == kNoScheme) continue;
    const uint64_t size = in->Varint();
    if (size > kMaxParamBytes) return LimitExceeded("parameters of more than 1024 bytes");
    o.params = params.Bytes(size);
  }
  if (!params.ok()) return Corrupt("parameters of schemes are cut short");
  *in = params;
  return {};
}

Status TableDecoder::Parents(base::ByteReader* in) {
  auto& rows = index_.objects;
  uint32_t next = 0;
  for (ObjectEntry& o : rows) {
    if (o.scheme == kNoScheme) continue;
    const uint64_t count = in->Varint();
    if (count > kMaxParents) return LimitExceeded("an object of more than 1024 parents");
    QSTORE_TRY(Take(count, &next, &o.parents));
  }
  if (next > in->remaining()) return Corrupt("the parents have no room");
  QSTORE_TRY(Grow(next, &index_.parents));
  for (uint32_t id = 0; id < rows.size(); ++id) {
    for (uint32_t p = rows[id].parents.begin; p < rows[id].parents.end; ++p) {
      const uint64_t parent = Unzigzag(in->Varint(), id);
      if (parent >= rows.size() || parent == id) {
        return Corrupt("a parent of object " + std::to_string(id) + " is no other object");
      }
      index_.parents[p] = static_cast<uint32_t>(parent);
    }
  }
  return {};
}

Status TableDecoder::Chunks(base::ByteReader* in) {
  QSTORE_TRY(Resize(in, kChunkRowBytes, &index_.chunks));
  auto& rows = index_.chunks;
  for (ChunkEntry& c : rows) {
    const auto codec = in->Fixed<uint8_t>();
    if (codec >= kChunkCodecCount) return UnknownNumber("chunk codec", codec);
    c.codec = static_cast<ChunkCodec>(codec);
  }
  for (ChunkEntry& c : rows) {
    const uint64_t size = in->Varint();
    if (size > kMaxChunkBytes)
      return LimitExceeded("a chunk of " + std::to_string(size) + " bytes");
    c.stored_size = static_cast<uint32_t>(size);
  }
  for (ChunkEntry& c : rows) c.checksum = in->Fixed<uint64_t>();
  QSTORE_TRY(Runs(in));
  return AssignChunks();
}

Status TableDecoder::Runs(base::ByteReader* in) {
  auto& rows = index_.chunks;
  const uint64_t count = in->Varint();
  uint64_t offset = Header::kEncodedSize;
  size_t next = 0;
  for (uint64_t r = 0; r < count && in->ok(); ++r) {
    const uint64_t gap = in->Varint();
    const uint64_t chunks = in->Varint();
    // A run without gap would be one with that before it.
    if (chunks == 0 || chunks > rows.size() - next || (r > 0 && gap == 0) ||
        gap > kMaxSize - offset) {
      return Corrupt("a run of chunks is empty, or beyond the last one, or the archive's end");
    }
    offset += gap;
    for (const size_t end = next + chunks; next < end; ++next) {
      rows[next].offset = offset;
      offset += rows[next].stored_size;
    }
  }
  return next == rows.size() ? Status() : Corrupt("the runs have too few chunks");
}

Status TableDecoder::AssignChunks() {
  uint64_t next = 0;
  for (ObjectEntry& o : index_.objects) {
    if (o.chunk_elems == 0 || o.chunk_elems > kMaxChunkBytes / o.elem_bytes()) {
      return Corrupt("an object's chunks are empty or larger than 16 MiB");
    }
    const uint64_t count = o.byte_size / o.chunk_bytes() + (o.byte_size % o.chunk_bytes() != 0);
    if (count > index_.chunks.size() - next) return Corrupt("there are too few chunks");
    o.first_chunk = static_cast<uint32_t>(next);
    o.chunk_count = static_cast<uint32_t>(count);
    next += count;
  }
  return next == index_.chunks.size() ? Status() : Corrupt("there are too many chunks");
}

Status UnknownNumber(const char* what, unsigned value) {
  return {ErrorCode::kUnsupportedFeature,
          std::string(what) + " " + std::to_string(value) + " is unknown here"};
}

}  // namespace qstore::format
