// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "io/descriptor.h"
#include "io/file_writer.h"
#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::io {

/// A file that is there, changed in place by one writer at a time: it holds the file's lock until
/// it is gone. Others read the file meanwhile. Reads are thread-safe.
class GrowingFile final : public ByteSource {
 public:
  /// Follows symbolic links. Waits up to two seconds for a writer that has the lock.
  /// Errors: kNotFound, kInvalidArgument (no regular file), kIo (may not be written; another
  /// process changes it; its file system has no locks).
  static Result<std::shared_ptr<GrowingFile>> Open(const std::filesystem::path& path);
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// When it was opened.
  uint64_t size() const override { return size_; }
  /// Errors: kInvalidArgument (range outside what there was when it was opened), kIo.
  Status Read(uint64_t offset, std::span<std::byte> out) const override;

  /// Appends to what Truncate has left.
  FileWriter& writer() { return writer_; }
  /// Cuts off what is behind `size`, and has the writer append there. Errors: kIo.
  Status Truncate(uint64_t size);
  /// Writes where bytes are already. Errors: kIo.
  Status Overwrite(uint64_t offset, std::span<const std::byte> bytes);
  /// Waits until all that was written has reached the disk. Errors: kIo.
  Status Sync();

 private:
  explicit GrowingFile(const std::filesystem::path& path) : path_(path), writer_(path) {}
  Result<bool> TryOpen();

  std::filesystem::path path_;
  Descriptor descriptor_;
  uint64_t size_ = 0;
  FileWriter writer_;
};

}  // namespace qstore::io
