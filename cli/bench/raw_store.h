// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "posix_file.h"
#include "qstore/status.h"
#include "raw_codec.h"
#include "token_bucket.h"

namespace qstore::cli {

/// Read and coded at a time.
inline constexpr uint64_t kRawChunkBytes = uint64_t{1} << 20;

/// Files as they are, laid end to end.
class RawFiles {
 public:
  static Result<RawFiles> Open(std::span<const std::filesystem::path> paths);
  uint64_t size() const { return begins_.back(); }
  Status ReadAt(uint64_t offset, std::span<std::byte> out) const;
  /// The same in chunks on many threads, no faster than the bucket allows.
  Status Load(unsigned threads, TokenBucket* bucket, uint64_t begin,
              std::span<std::byte> out) const;

 private:
  std::vector<std::unique_ptr<PosixFile>> files_;
  std::vector<uint64_t> begins_ = {0};  // Of each file, and the end.
};

/// Such files in one file, in chunks compressed by themselves, with a table at the end.
class RawStore {
 public:
  /// Without a codec they are copied.
  static Status Save(const RawFiles& files, const RawCodecFactory& codec, unsigned threads,
                     const std::filesystem::path& output);
  static Result<RawStore> Open(const std::filesystem::path& path, TokenBucket* bucket);

  uint64_t raw_size() const { return footer_.raw_size; }
  uint64_t stored_size() const { return file_->size(); }
  Status Load(const RawCodecFactory& codec, unsigned threads, TokenBucket* bucket, uint64_t begin,
              std::span<std::byte> out) const;

 private:
  struct Chunk {
    uint64_t offset = 0;
    uint64_t stored_size = 0;  // That of the content when it is not compressed.
  };
  struct Footer {
    uint64_t raw_size = 0;
    uint64_t chunk_count = 0;
  };
  uint64_t ChunkSize(size_t chunk) const;
  Status DecodeChunk(size_t chunk, TokenBucket* bucket, ChunkWorker* worker,
                     std::span<std::byte> content) const;

  std::unique_ptr<PosixFile> file_;
  std::vector<Chunk> chunks_;
  Footer footer_;
};

}  // namespace qstore::cli
