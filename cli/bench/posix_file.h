// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/status.h"

namespace qstore::cli {

/// What errno says about `action` on `path`.
Status SystemError(const std::filesystem::path& path, std::string_view action);

/// A file read or written at any offset, as simply as the system has it. Thread-safe.
class PosixFile {
 public:
  static Result<std::unique_ptr<PosixFile>> OpenRead(const std::filesystem::path& path);
  /// An empty file for reading and writing, in place of what was there.
  static Result<std::unique_ptr<PosixFile>> Create(const std::filesystem::path& path);
  ~PosixFile();
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  int fd() const { return fd_; }
  uint64_t size() const { return size_; }  ///< When it was opened.
  const std::filesystem::path& path() const { return path_; }

  Status ReadAt(uint64_t offset, std::span<std::byte> out) const;
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes) const;

 private:
  PosixFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::filesystem::path path_;
  int fd_;
  uint64_t size_ = 0;
};

/// The regular files below `root` in the order of their paths, or `root` when it is one.
Result<std::vector<std::filesystem::path>> FilesBelow(const std::filesystem::path& root);

}  // namespace qstore::cli
