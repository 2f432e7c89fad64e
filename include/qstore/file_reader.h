// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "qstore/archive.h"
#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// Bytes [begin, end) of a file.
struct FileStretch {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct FileReaderOptions {
  /// Aim for the scratch memory of all calls that run at once: what has no room waits, but one call
  /// always runs.
  uint64_t scratch_bytes = uint64_t{128} << 20;
  /// Aim for what is kept of parents that no call needs at the moment.
  uint64_t kept_bytes = uint64_t{64} << 20;
};

/// Reads files of an archive stretch by stretch, as whoever serves them to others does: a call
/// costs no more than what it decodes, and what chunks take whole of their parents is kept for the
/// calls that follow. OpenOptions::max_memory bounds all calls together; parents that must be held
/// whole may take up to that. Thread-safety: all member functions but the destructor may be called
/// from many threads at once. Each call decodes on the thread that makes it.
class QSTORE_EXPORT FileReader {
 public:
  /// `archive` outlives the reader.
  explicit FileReader(const Archive& archive, const FileReaderOptions& options = {});
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// Of the stretches that a file is cut into, the one with the byte at `offset`: whole chunks, of
  /// about 1 MiB together, or one larger chunk. To read them one by one decodes each chunk once.
  /// Errors: kInvalidArgument (no such byte), kLimit.
  Result<FileStretch> StretchAt(size_t file, uint64_t offset) const;
  /// No stretch has more bytes.
  uint64_t most_stretch_bytes() const;

  /// Fills `out` with the bytes of the file from `begin` on. Reads and decodes the chunks needed
  /// and no others; the digest of the file is not checked. Errors: kInvalidArgument (beyond the
  /// file's end), kLimit, kCorrupt (naming tensor, chunk and offset), kSourceChanged, kIo.
  Status Read(size_t file, uint64_t begin, std::span<std::byte> out) const;

  /// Where the content of a tensor begins in its file, once the head of the file has been seen to
  /// say of it what the index says. Errors: kInvalidArgument (no such tensor), those of Read.
  Result<uint64_t> OffsetOf(size_t tensor) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qstore
