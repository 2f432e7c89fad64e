// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "qstore/status.h"

struct iovec;

namespace qstore::io {

/// Writes to an open file: at its end, in blocks, or at any place behind that. The file is its
/// owner's to close.
class FileWriter {
 public:
  /// Errors will name the file `shown`.
  explicit FileWriter(std::filesystem::path shown) : path_(std::move(shown)) {}
  /// From now on it appends to `fd`, from `begin` on.
  void Attach(int fd, uint64_t begin = 0);
  /// From now on nothing can be written.
  void Detach() { fd_ = -1; }

  /// Writes at the end, at the latest in Flush. Not thread-safe. Errors name the path: disk full,
  /// I/O error.
  Status Append(std::span<const std::byte> bytes) { return AppendAll({&bytes, 1}); }
  /// Writes these one after the other at the end. As Append otherwise.
  Status AppendAll(std::span<const std::span<const std::byte>> pieces);
  /// Writes at `offset`, behind all that was appended; thread-safe with other WriteAt calls.
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  /// Writes what was appended and is still held.
  Status Flush();
  /// Of the file: where it began, and all that was appended since.
  uint64_t size() const { return size_; }

  /// Negative: none.
  int fd() const { return fd_; }

 private:
  Status WriteOne(uint64_t offset, std::span<const std::byte> bytes);
  Status WriteVectors(uint64_t offset, std::span<iovec> vectors);

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::vector<std::byte> tail_;  // Appended, but not written: the last of size_.
};

}  // namespace qstore::io
