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

#include "chain/object_spec.h"
#include "format/index.h"
#include "format/layout.h"
#include "io/file.h"
#include "qstore/archive.h"
#include "qstore/status.h"
#include "store/chunk_batch.h"

namespace qstore::store {

/// An open archive as the modules of store see it: its index, and reads that are counted.
/// Thread-safe.
class ArchiveFile {
 public:
  static Result<std::unique_ptr<ArchiveFile>> Open(const std::filesystem::path& path,
                                                   const OpenOptions& options);

  const std::filesystem::path& path() const { return file_->path(); }
  const format::Header& header() const { return header_; }
  const format::Footer& footer() const { return footer_; }
  const format::Index& index() const { return index_; }
  uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }

  Status Read(uint64_t offset, std::span<std::byte> out) const;

  chain::ObjectSpec spec(uint32_t object) const;
  const format::ChunkEntry& chunk(uint32_t object, uint32_t chunk) const {
    return index_.chunks[index_.objects[object].first_chunk + chunk];
  }
  /// Whether decoding the chunk takes the parents' content.
  bool NeedsParents(uint32_t object, uint32_t chunk) const;

  /// "tensor 'x' of variant 'int8'", for messages.
  std::string Describe(uint32_t object) const;

  /// A batch with warm scratch memory, to be given back.
  std::unique_ptr<ChunkBatch> TakeBatch() const;
  void GiveBack(std::unique_ptr<ChunkBatch> batch) const;

 private:
  ArchiveFile() = default;
  std::shared_ptr<const io::SourceFile> file_;
  OpenOptions options_;
  format::Header header_;
  format::Footer footer_;
  format::Index index_;
  mutable std::atomic<uint64_t> bytes_read_{0};
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<ChunkBatch>> batches_;
};

}  // namespace qstore::store
