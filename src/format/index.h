// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/disk_ids.h"
#include "format/layout.h"
#include "qstore/dtype.h"
#include "qstore/page_memory.h"
#include "qstore/status.h"

namespace qstore::format {

/// A half-open range of positions in one of the tables of an Index.
struct Range {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t size() const { return end - begin; }
};

struct VariantEntry {
  std::string_view name;
  Range files;
};

struct FileEntry {
  std::string_view path;  ///< See CheckPath. Ascending by PathLess within a variant.
  uint64_t size = 0;
  std::array<uint8_t, 16> digest{};  ///< XXH3-128 of the whole file, canonical byte order.
  ContainerId container = kNoContainer;
  uint8_t flags = 0;  ///< Of FileFlag.
  Range parts;        ///< Objects laid end to end, as positions in Index::parts.
  Range tensors;      ///< Ascending by name (bytes), no two equal. Empty without a container.

  bool Has(FileFlag flag) const { return (flags & static_cast<uint8_t>(flag)) != 0; }
};

struct TensorEntry {
  std::string_view name;
  uint32_t part = 0;         ///< Position in Index::parts, inside the file's.
  uint32_t shape_begin = 0;  ///< Position in Index::dims.
  uint16_t rank = 0;
  DType dtype = DType::kU8;  ///< As the file says; the object may be modelled as another.
};

/// A run of bytes stored once. The first three fields and `dtype` are those of scheme::ObjectSpec.
struct ObjectEntry {
  uint64_t byte_size = 0;
  uint64_t row_elems = 1;
  uint64_t chunk_elems = 1;
  std::span<const std::byte> params;  ///< Of the scheme; a view, as names are.
  Range parents;                      ///< Positions in Index::parents, in the scheme's order.
  uint32_t first_chunk = 0;
  uint32_t chunk_count = 0;
  SchemeId scheme = kNoScheme;
  DType dtype = DType::kU8;

  uint64_t elem_bytes() const { return DTypeBits(dtype) / 8; }
  uint64_t elem_count() const { return byte_size / elem_bytes(); }
  uint64_t chunk_bytes() const { return chunk_elems * elem_bytes(); }
};

struct ChunkEntry {
  uint64_t offset = 0;       ///< In the archive.
  uint64_t checksum = 0;     ///< XXH3-64 of the stored payload.
  uint32_t stored_size = 0;  ///< At most the chunk's decoded size.
  ChunkCodec codec = ChunkCodec::kRaw;
};

/// Whether bytes of earlier generations may lie between payloads, or behind them.
enum class Gaps : uint8_t { kNone, kAllowed };

/// The tables of an archive. Names are views: of what DecodeIndex keeps in `storage`, or of what
/// the writer keeps alive.
struct Index {
  std::vector<VariantEntry> variants;
  std::vector<FileEntry> files;
  std::vector<uint32_t> parts;  ///< Object ids.
  std::vector<TensorEntry> tensors;
  std::vector<uint64_t> dims;
  std::vector<ObjectEntry> objects;
  std::vector<uint32_t> parents;   ///< Object ids.
  std::vector<ChunkEntry> chunks;  ///< By object, in the order of their payloads.
  /// SHA-256 of each file, zeros of a directory; empty where the archive has none.
  std::vector<std::array<uint8_t, 32>> sha256;
  PageMemory storage;  ///< Only what is written to it takes memory.

  std::span<const uint64_t> shape(const TensorEntry& tensor) const {
    return std::span(dims).subspan(tensor.shape_begin, tensor.rank);
  }
  /// Objects that are a file's head, or its begin where there are headers between tensors too, as
  /// positions in `parts`: those before the first that a tensor has, or all.
  Range HeadOf(const FileEntry& file) const {
    Range head = file.parts;
    for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
      head.end = std::min(head.end, tensors[t].part);
    }
    return head;
  }
  std::span<const uint32_t> parents_of(const ObjectEntry& object) const {
    return std::span(parents).subspan(object.parents.begin, object.parents.size());
  }
  /// Bytes that the tables and `storage` take.
  uint64_t memory() const;
  uint64_t chunk_raw_size(const ObjectEntry& object, uint32_t chunk) const {
    const uint64_t begin = chunk * object.chunk_bytes();
    return std::min(object.chunk_bytes(), object.byte_size - begin);
  }
};

/// The index as it is stored: one zstd frame. Fills in footer's index_stored_size, index_raw_size
/// and index_checksum. Errors: kLimit when it is larger than a reader accepts.
Result<std::vector<std::byte>> EncodeIndex(const Index& index, Footer* footer);

/// The inverse. Checks every rule of docs/format.md, so that whoever uses the result need not.
/// Takes at most `max_memory` bytes, those of `stored` included, and nothing that grows with a size
/// which the bytes there are do not bear out.
/// REQUIRES: `footer` from Footer::DecodeFrom, `stored` of the size it says.
/// Errors: kCorrupt, kUnsupportedFeature, kLimit, each naming the rule.
Result<Index> DecodeIndex(std::span<const std::byte> stored, const Footer& footer,
                          uint64_t max_memory = UINT64_MAX, Gaps gaps = Gaps::kNone);

/// The rules that bind the tables to one another and to the archive, on tables that DecodeIndex
/// has just read; a part of it.
Status CheckIndex(const Index& index, const Footer& footer, Gaps gaps);

/// Bytes of a tensor of that type and shape, or nothing when that is no whole number of bytes or
/// beyond kMaxSize.
std::optional<uint64_t> TensorBytes(DType dtype, std::span<const uint64_t> shape);

}  // namespace qstore::format
