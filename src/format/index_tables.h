// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/page_memory.h"
#include "format/index.h"

namespace qstore::format {

/// As resize. The pages of a large table come at once: as they are first touched, one by one, they
/// cost more than reading the table does.
template <class Row>
void ResizeTable(size_t count, std::vector<Row>* rows) {
  constexpr size_t kWorthwhile = size_t{1} << 17;
  // What allocators take from the system and give back to it.
  constexpr size_t kLarge = size_t{1} << 25;
  rows->reserve(count);
  const size_t size = count * sizeof(Row);
  const std::span memory(reinterpret_cast<std::byte*>(rows->data()), size);
  if (size >= kLarge) base::AdviseHugePages(memory);
  if (size >= kWorthwhile) base::Prefault(memory);
  rows->resize(count);
}

/// How much memory an index may still take.
class TableMemory {
 public:
  explicit TableMemory(uint64_t most) : most_(most), left_(most) {}
  /// Errors: kLimit.
  Status Take(uint64_t bytes);

 private:
  uint64_t most_;
  uint64_t left_;
};

/// Reads the tables of an index, in the order of their numbers. What they say of each other beyond
/// counts is for CheckIndex.
class TableDecoder {
 public:
  /// `index` gets the rows, whose names point into what is read and which are taken from `memory`.
  TableDecoder(Index* index, TableMemory* memory) : index_(*index), memory_(*memory) {}

  /// Errors: kCorrupt, kLimit, kUnsupportedFeature. That `in` ended too early is for the caller to
  /// find.
  Status Decode(IndexSection table, base::ByteReader* in);

 private:
  Status Variants(base::ByteReader* in);
  Status Files(base::ByteReader* in);
  Status Tensors(base::ByteReader* in);
  Status TensorNames(base::ByteReader* in);
  Status Objects(base::ByteReader* in);
  Status Schemes(base::ByteReader* in);
  Status Parents(base::ByteReader* in);
  Status Chunks(base::ByteReader* in);
  Status Sha256(base::ByteReader* in);
  Status Runs(base::ByteReader* in);
  Status AssignChunks();

  template <class Row>
  Status Grow(uint64_t count, std::vector<Row>* rows);
  template <class Row>
  Status Resize(base::ByteReader* in, uint64_t row_bytes, std::vector<Row>* rows);

  Index& index_;
  TableMemory& memory_;
  uint64_t file_count_ = 0;
  uint64_t tensor_count_ = 0;
};

/// kUnsupportedFeature: a number on disk that a later version may know.
Status UnknownNumber(const char* what, unsigned value);

}  // namespace qstore::format
