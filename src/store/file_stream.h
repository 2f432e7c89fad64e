// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/progress.h"
#include "qstore/status.h"
#include "store/archive_file.h"

namespace qstore::store {

/// Objects laid end to end.
struct StreamFile {
  uint32_t id = 0;  ///< The caller's number for it.
  std::span<const uint32_t> objects;
  uint64_t offset = 0;  ///< Where the first object begins.
  /// What the content must hash to, of a file of the index, whose tables are then checked as well;
  /// null to leave that out.
  const std::array<uint8_t, 16>* digest = nullptr;
  /// Likewise, by SHA-256.
  const std::array<uint8_t, 32>* sha256 = nullptr;
};

/// A file of the archive's index, by its position there.
StreamFile FileOfIndex(const ArchiveFile& archive, uint32_t file);

/// Takes what StreamFiles decodes.
class FileSink {
 public:
  virtual ~FileSink() = default;
  /// A stretch of a file; stretches come in any order, from many threads at once.
  virtual Status Write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// All of the file has been written and its digest is right. Files come in the order given, one
  /// at a time.
  virtual Status Done(uint32_t file) = 0;
};

struct StreamOptions {
  unsigned threads = 1;
  uint64_t sink_bytes = 0;  ///< Memory that the sink and the list of files take.
  ProgressCallback progress;
  uint64_t done_bytes = 0;   ///< For progress: done before this call.
  uint64_t total_bytes = 0;  ///< For progress.
};

/// Decodes files one after the other, on many threads, and checks their digests and tables.
/// Errors: kLimit (before the first byte), kCorrupt, read errors, those of the sink, kCancelled.
Status StreamFiles(const ArchiveFile& archive, std::span<const StreamFile> files,
                   const StreamOptions& options, FileSink* sink);

}  // namespace qstore::store
