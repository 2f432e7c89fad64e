// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "qstore/archive.h"
#include "scheme/registry.h"
#include "store/archive_file.h"
#include "store/header_check.h"
#include "store/object_graph.h"

namespace qstore {
namespace store {
namespace {

std::string_view SchemeName(SchemeId id) {
  if (id == kNoScheme) return "none";
  const scheme::Scheme* scheme = scheme::FindScheme(id);
  return scheme == nullptr ? "unknown" : scheme->name();
}

std::string_view NameOf(ChunkCodec codec) {
  switch (codec) {
    case ChunkCodec::kRaw:
      return "raw";
    case ChunkCodec::kZstd:
      return "zstd";
    case ChunkCodec::kPlanes:
      return "planes";
    case ChunkCodec::kInt8:
      return "int8";
    case ChunkCodec::kFloat:
      return "float";
    case ChunkCodec::kScheme:
      return "scheme";
    case ChunkCodec::kBlocks:
      return "blocks";
    case ChunkCodec::kBlocksByZero:
      return "blocks-by-zero";
    case ChunkCodec::kRows:
      return "rows";
  }
  return "unknown";
}

uint64_t PayloadBytes(const format::Index& index, uint32_t id) {
  const format::ObjectEntry& object = index.objects[id];
  if (object.chunk_count == 0) return 0;
  const format::ChunkEntry& first = index.chunks[object.first_chunk];
  const format::ChunkEntry& last = index.chunks[object.first_chunk + object.chunk_count - 1];
  return last.offset + last.stored_size - first.offset;
}

/// Adds up payloads, each chunk once.
class LoadCounter {
 public:
  explicit LoadCounter(const ArchiveFile& archive)
      : archive_(archive),
        whole_(archive.index().objects.size()),
        counted_(archive.index().chunks.size()) {}

  void AddObject(uint32_t object) {
    if (whole_[object]) return;
    whole_[object] = true;
    for (uint32_t c = 0; c < archive_.index().objects[object].chunk_count; ++c) {
      AddChunk(object, c);
    }
  }
  uint64_t bytes() const { return bytes_; }

 private:
  void AddChunk(uint32_t id, uint32_t chunk) {
    const format::ObjectEntry& object = archive_.index().objects[id];
    if (counted_[object.first_chunk + chunk]) return;
    counted_[object.first_chunk + chunk] = true;
    bytes_ += archive_.chunk(id, chunk).stored_size;
    if (!archive_.NeedsParents(id, chunk)) return;
    const uint32_t chunk_parent = archive_.graph().chunk_parent(id);
    if (chunk_parent != kNoObject) AddChunk(chunk_parent, chunk);
    for (const uint32_t parent : archive_.graph().whole_parents(id)) AddObject(parent);
    archive_.ForEachRangeChunk(
        id, chunk, [&](uint32_t parent, uint32_t of_parent) { AddChunk(parent, of_parent); });
  }

  const ArchiveFile& archive_;
  std::vector<bool> whole_;  // By object: all its chunks are.
  std::vector<bool> counted_;
  uint64_t bytes_ = 0;
};

using Names = std::vector<std::string_view>;

Names CodecNames(const format::Index& index, uint32_t id) {
  const format::ObjectEntry& object = index.objects[id];
  Names names;
  for (uint32_t c = 0; c < object.chunk_count; ++c) {
    const std::string_view name = NameOf(index.chunks[object.first_chunk + c].codec);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

// Of a TensorCoding with its names, and of what is noted of an object to make it.
constexpr uint64_t kCodingBytes = sizeof(TensorCoding) + 96;
constexpr uint64_t kNoteBytes = 160;

/// Adds up payloads of objects that are new in one variant after the other.
class OwnCounter {
 public:
  explicit OwnCounter(const format::Index& index)
      : index_(index), in_files_(ObjectsOfFiles(index)), seen_(index.objects.size()) {}

  /// Bytes of those of the file, and of the parents without file, that were not added before.
  uint64_t Add(const format::FileEntry& file) {
    uint64_t bytes = 0;
    for (uint32_t p = file.parts.begin; p < file.parts.end; ++p) bytes += Add(index_.parts[p]);
    return bytes;
  }

 private:
  // The depth of calls is that of ancestors.
  uint64_t Add(uint32_t object) {
    if (seen_[object]) return 0;
    seen_[object] = true;
    uint64_t bytes = PayloadBytes(index_, object);
    for (const uint32_t parent : index_.parents_of(index_.objects[object])) {
      if (!in_files_[parent]) bytes += Add(parent);
    }
    return bytes;
  }

  const format::Index& index_;
  const std::vector<bool> in_files_;
  std::vector<bool> seen_;
};

VariantSizes SizesOf(const ArchiveFile& archive, size_t variant) {
  const format::Index& index = archive.index();
  const format::Range files = index.variants[variant].files;
  VariantSizes sizes;
  OwnCounter own(index);
  for (uint32_t f = 0; f < files.end; ++f) {
    const uint64_t bytes = own.Add(index.files[f]);
    if (f >= files.begin) sizes.own_bytes += bytes;
  }
  LoadCounter load(archive);
  for (uint32_t f = files.begin; f < files.end; ++f) {
    if (index.files[f].tensors.size() > 0) {
      for (const uint32_t object : HeadObjects(index, index.files[f])) load.AddObject(object);
    }
    for (uint32_t t = index.files[f].tensors.begin; t < index.files[f].tensors.end; ++t) {
      const uint32_t object = index.parts[index.tensors[t].part];
      load.AddObject(object);
      sizes.tensor_bytes += index.objects[object].byte_size;
      sizes.tensor_stored += PayloadBytes(index, object);
    }
  }
  sizes.load_bytes = load.bytes() + format::Header::kEncodedSize +
                     archive.footer().index_stored_size + format::Footer::kEncodedSize;
  return sizes;
}

Result<std::vector<TensorCoding>> CodingsOf(const ArchiveFile& archive, size_t variant) {
  const format::Index& index = archive.index();
  const VariantInfo info = archive.variants()[variant];
  const uint64_t memory = info.tensor_count * kCodingBytes + index.objects.size() * kNoteBytes;
  if (memory > archive.MemoryLeft()) return archive.BeyondMemory("a list of tensors", memory);
  std::unordered_map<uint32_t, size_t> first_tensor;  // By object.
  for (size_t t = 0; t < index.tensors.size(); ++t) {
    first_tensor.try_emplace(index.parts[index.tensors[t].part], t);
  }
  const auto tensor_of = [&](uint32_t object) -> std::optional<size_t> {
    const auto found = first_tensor.find(object);
    if (found == first_tensor.end()) return std::nullopt;
    return found->second;
  };
  std::unordered_map<uint32_t, Names> codecs;  // By object: many tensors may be one.
  std::vector<TensorCoding> codings;
  codings.reserve(info.tensor_count);
  for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
    const uint32_t id = index.parts[index.tensors[t].part];
    const format::ObjectEntry& object = index.objects[id];
    const auto [names, is_new] = codecs.try_emplace(id);
    if (is_new) names->second = CodecNames(index, id);
    TensorCoding coding;
    coding.scheme = SchemeName(object.scheme);
    coding.codecs = names->second;
    coding.params = object.params;
    for (const uint32_t parent : index.parents_of(object)) {
      if (const auto tensor = tensor_of(parent)) coding.parents.push_back(*tensor);
    }
    if (const auto first = tensor_of(id); first != t) coding.same_as = first;
    coding.stored_bytes = PayloadBytes(index, id);
    codings.push_back(std::move(coding));
  }
  return codings;
}

// Of payloads, index, header and footer; each chunk has an object, and each object a use.
uint64_t LiveBytes(const ArchiveFile& archive) {
  uint64_t bytes = format::Header::kEncodedSize + archive.footer().index_stored_size +
                   format::Footer::kEncodedSize;
  for (const format::ChunkEntry& chunk : archive.index().chunks) bytes += chunk.stored_size;
  return bytes;
}

}  // namespace
}  // namespace store

uint64_t Archive::dead_bytes() const { return stored_bytes() - store::LiveBytes(*impl_); }

Result<VariantSizes> Archive::SizesOf(size_t variant) const {
  return base::Guarded([&]() -> Result<VariantSizes> { return store::SizesOf(*impl_, variant); });
}

Result<std::vector<TensorCoding>> Archive::CodingsOf(size_t variant) const {
  return base::Guarded([&] { return store::CodingsOf(*impl_, variant); });
}

}  // namespace qstore
