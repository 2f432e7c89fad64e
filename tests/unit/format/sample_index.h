// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "format/index.h"

namespace qstore::format {

/// Adds an object whose chunks are stored as they are.
inline void AddRaw(Index* index, DType dtype, uint64_t byte_size, uint64_t row_elems,
                   uint64_t chunk_elems) {
  ObjectEntry object;
  object.dtype = dtype;
  object.byte_size = byte_size;
  object.row_elems = row_elems;
  object.chunk_elems = chunk_elems;
  object.first_chunk = static_cast<uint32_t>(index->chunks.size());
  object.chunk_count =
      static_cast<uint32_t>((byte_size + object.chunk_bytes() - 1) / object.chunk_bytes());
  for (uint32_t i = 0; i < object.chunk_count; ++i) {
    ChunkEntry chunk;
    chunk.offset = index->chunks.empty()
                       ? Header::kEncodedSize
                       : index->chunks.back().offset + index->chunks.back().stored_size;
    chunk.stored_size = static_cast<uint32_t>(index->chunk_raw_size(object, i));
    chunk.checksum = 0x0123456789abcdef + i;
    index->chunks.push_back(chunk);
  }
  index->objects.push_back(object);
}

/// Gives an object a scheme. `params` outlive the index.
inline void SetParents(Index* index, uint32_t id, SchemeId scheme,
                       std::span<const std::byte> params, const std::vector<uint32_t>& parents) {
  ObjectEntry& object = index->objects[id];
  object.scheme = scheme;
  object.params = params;
  object.parents.begin = static_cast<uint32_t>(index->parents.size());
  index->parents.insert(index->parents.end(), parents.begin(), parents.end());
  object.parents.end = static_cast<uint32_t>(index->parents.size());
}

/// int8: config.json, model.safetensors (a.SCB, a.weight, empty). bf16: the same config.json,
/// model.safetensors (a.weight as the child of int8's, in chunks of two rows).
inline Index SampleIndex() {
  Index index;
  AddRaw(&index, DType::kU8, 10, 10, 1000);   // 0: config.json
  AddRaw(&index, DType::kU8, 100, 1000, 50);  // 1: header of int8
  AddRaw(&index, DType::kF32, 12, 3, 8);      // 2: a.SCB
  AddRaw(&index, DType::kI8, 12, 4, 8);       // 3: a.weight of int8
  AddRaw(&index, DType::kU8, 0, 1, 8);        // 4: empty
  AddRaw(&index, DType::kU8, 90, 1000, 50);   // 5: header of bf16
  AddRaw(&index, DType::kBF16, 24, 4, 8);     // 6: a.weight of bf16
  SetParents(&index, 6, 1, {}, {3, 2});
  index.dims = {3, 3, 4, 0, 7, 3, 4};
  index.tensors = {{"a.SCB", 2, 0, 1, DType::kF32},
                   {"a.weight", 3, 1, 2, DType::kI8},
                   {"empty", 4, 3, 2, DType::kF16},
                   {"a.weight", 7, 5, 2, DType::kBF16}};
  index.parts = {0, 1, 2, 3, 4, 0, 5, 6};
  index.files = {{"config.json", 10, {1}, kNoContainer, 0, {0, 1}, {0, 0}},
                 {"model.safetensors", 124, {2}, ContainerId{1}, 0, {1, 5}, {0, 3}},
                 {"config.json", 10, {1}, kNoContainer, 0, {5, 6}, {3, 3}},
                 {"model.safetensors", 114, {3}, ContainerId{1}, 0, {6, 8}, {3, 4}}};
  index.variants = {{"int8", {0, 2}}, {"bf16", {2, 4}}};
  return index;
}

/// The footer that belongs to `index` once it is stored.
inline Footer FooterFor(const Index& index) {
  Footer footer;
  footer.index_offset = index.chunks.empty()
                            ? Header::kEncodedSize
                            : index.chunks.back().offset + index.chunks.back().stored_size;
  return footer;
}

}  // namespace qstore::format
