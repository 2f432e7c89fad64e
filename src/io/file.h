// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "base/byte_source.h"
#include "qstore/status.h"

namespace qstore::io {

/// An input file opened for reading at any offset (pread). Thread-safe.
class SourceFile final : public base::ByteSource {
 public:
  /// Errors: kNotFound, kInvalidArgument (a directory), kIo (permissions and the rest).
  static Result<std::shared_ptr<const SourceFile>> Open(const std::filesystem::path& path);
  ~SourceFile() override;
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  /// kSourceChanged when size, modification or change time, device or inode of the path differ from
  /// when it was opened.
  Status CheckUnchanged() const;
  /// Tells the system that the range will be read soon. Never fails.
  void WillNeed(uint64_t offset, uint64_t length) const;

 private:
  struct Identity;
  SourceFile() = default;
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::unique_ptr<Identity> identity_;
};

/// An output file that appears under its name only when complete: written beside it under a
/// temporary name, synced and renamed by Commit, removed by the destructor otherwise.
class OutputFile {
 public:
  struct Options {
    bool overwrite = false;  ///< Otherwise kAlreadyExists when `path` exists.
    bool sync = true;        ///< fsync the file and its directory in Commit.
  };
  /// Creates missing parent directories.
  static Result<std::unique_ptr<OutputFile>> Create(const std::filesystem::path& path,
                                                    const Options& options);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Writes at the end. Not thread-safe. Errors name the path: disk full, I/O error.
  Status Append(std::span<const std::byte> bytes);
  /// Writes at `offset`; thread-safe with other WriteAt calls.
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes appended so far.
  uint64_t size() const { return size_; }
  Status Commit();

 private:
  OutputFile() = default;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Options options_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace qstore::io
