// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "format/index.h"
#include "format/layout.h"
#include "qstore/archive.h"
#include "qstore/byte_source.h"
#include "qstore/status.h"
#include "store/chunk_batch.h"
#include "store/header_check.h"
#include "store/object_graph.h"

namespace qstore::store {

class ReadAhead;

/// An open archive as the modules of store see it: its index, and reads that are counted.
/// Thread-safe.
class ArchiveFile {
 public:
  static Result<std::unique_ptr<ArchiveFile>> Open(std::shared_ptr<const ByteSource> source,
                                                   std::filesystem::path path,
                                                   const OpenOptions& options);

  const std::filesystem::path& path() const { return path_; }
  const ByteSource& source() const { return *source_; }
  const OpenOptions& options() const { return options_; }
  const format::Header& header() const { return header_; }
  const format::Footer& footer() const { return footer_; }
  const format::Index& index() const { return index_; }
  const ObjectGraph& graph() const { return graph_; }
  const HeaderCheck& headers() const { return *headers_; }
  const std::vector<VariantInfo>& variants() const { return variants_; }
  /// Whether some chunk is coded row by row.
  bool has_rows() const { return has_rows_; }
  /// Of OpenOptions::max_memory, what the index leaves.
  uint64_t MemoryLeft() const;
  /// What reading ahead takes of it at most.
  uint64_t ReadAheadMemory() const;
  /// kLimit: `what` takes more than that, `bytes`.
  Status BeyondMemory(const std::string& what, uint64_t bytes) const;
  uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }

  Status Read(uint64_t offset, std::span<std::byte> out) const;
  /// kSourceChanged in place of `damage`, which was found in what was read, when that explains it.
  Status Explained(Status damage) const;

  const format::ChunkEntry& chunk(uint32_t object, uint32_t chunk) const {
    return index_.chunks[index_.objects[object].first_chunk + chunk];
  }
  /// Whether decoding the chunk takes the parents' content.
  bool NeedsParents(uint32_t object, uint32_t chunk) const;
  /// Calls `visit` with each chunk of parents of which the chunk takes a range, as (object, chunk).
  template <class Visit>
  void ForEachRangeChunk(uint32_t object, uint32_t chunk, const Visit& visit) const {
    if (graph_.range_parents(object).empty() || !NeedsParents(object, chunk)) return;
    const scheme::Bound& bound = *graph_.bound(object);
    const scheme::ChunkAt at{bound.child().first_elem(chunk),
                             bound.child().chunk_elem_count(chunk)};
    for (const ObjectGraph::RangeParent& range : graph_.range_parents(object)) {
      scheme::ForEachChunk(bound.NeedOf(range.place, at),
                           index_.objects[range.object].chunk_bytes(),
                           [&](uint64_t c) { visit(range.object, static_cast<uint32_t>(c)); });
    }
  }

  /// "tensor 'x' of variant 'int8'", for messages.
  std::string Describe(uint32_t object) const;

  /// A batch with warm scratch memory, to be given back. Reads by way of `ahead` when there is one.
  std::unique_ptr<ChunkBatch> TakeBatch(ReadAhead* ahead) const;
  /// Where there is no memory to keep it, it is dropped.
  void GiveBack(std::unique_ptr<ChunkBatch> batch) const noexcept;

 private:
  ArchiveFile() = default;
  Status ReadIndex();
  VariantInfo InfoOf(const format::VariantEntry& entry) const;

  std::shared_ptr<const ByteSource> source_;
  std::filesystem::path path_;
  OpenOptions options_;
  format::Header header_;
  format::Footer footer_;
  format::Index index_;
  ObjectGraph graph_;
  std::unique_ptr<const HeaderCheck> headers_;
  std::vector<VariantInfo> variants_;
  uint64_t index_memory_ = 0;
  bool has_rows_ = false;
  mutable std::atomic<uint64_t> bytes_read_{0};
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<ChunkBatch>> batches_;
};

}  // namespace qstore::store
