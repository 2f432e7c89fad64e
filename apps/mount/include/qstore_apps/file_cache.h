// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

#include "qstore/archive.h"
#include "qstore/file_reader.h"
#include "qstore/status.h"

namespace qstore::mount {

struct FileCacheOptions {
  /// Aim for all that it takes: content decoded, scratch memory, and parents that are kept. One
  /// that must be held whole may take more, as OpenOptions::max_memory allows it.
  uint64_t memory = uint64_t{192} << 20;
  unsigned threads = 0;  ///< That decode ahead of readers. 0: all processors.
  /// Reading the archive takes long to begin, as from a server: more is under way at once.
  bool is_slow = false;
};

/// How somebody reads a file, which tells what to decode ahead. Thread-safe.
class Reading {
 public:
  explicit Reading(size_t file) : file_(file) {}
  size_t file() const { return file_; }

 private:
  friend class FileCache;
  const size_t file_;
  std::mutex mutex_;
  // The stretch that was read last, and what has been asked for behind it.
  FileStretch last_;
  uint64_t ahead_end_ = 0;
  uint64_t window_ = 0;  // Bytes to have ahead of it.
};

/// Content of files, decoded once for all who read it at about the same time, and ahead of those
/// who read on and on. Thread-safety: all member functions but the destructor may be called from
/// many threads at once.
class FileCache {
 public:
  /// Content that stays where it is while this object exists.
  class Piece {
   public:
    Piece() = default;
    Piece(std::span<const std::byte> bytes, std::shared_ptr<const void> held)
        : bytes_(bytes), held_(std::move(held)) {}
    std::span<const std::byte> bytes() const { return bytes_; }

   private:
    std::span<const std::byte> bytes_;
    std::shared_ptr<const void> held_;
  };

  /// `archive` outlives the cache. Errors: kLimit.
  static Result<std::unique_ptr<FileCache>> Make(const Archive& archive,
                                                 const FileCacheOptions& options);
  ~FileCache();
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;

  const FileReader& reader() const;

  /// Bytes of the file from `offset` on, as many as lie together, from one to `most`. REQUIRES: the
  /// calling thread has no other piece, and wants all of these. Errors: those of FileReader::Read.
  Result<Piece> Find(Reading* reading, uint64_t offset, uint64_t most);
  /// Fills `out` from `offset` on. Errors: the same.
  Status Read(Reading* reading, uint64_t offset, std::span<std::byte> out);

 private:
  class Impl;
  explicit FileCache(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qstore::mount
