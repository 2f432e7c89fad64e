// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/status.h"

struct iovec;

namespace qstore::io {

/// An input file opened for reading at any offset (pread). Thread-safe.
class SourceFile final : public ByteSource {
 public:
  /// Opens a regular file, following symbolic links.
  /// Errors: kNotFound, kInvalidArgument (a directory, pipe, socket or device), kIo (permissions
  /// and the rest).
  static Result<std::shared_ptr<const SourceFile>> Open(const std::filesystem::path& path);
  ~SourceFile() override;
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The size when it was opened.
  uint64_t size() const override { return size_; }
  /// Errors name the path and the offset: kInvalidArgument (range outside the file), kSourceChanged
  /// (the file has become shorter), kIo.
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  /// kSourceChanged when size, modification or change time, device or inode of the path differ from
  /// when it was opened.
  Status CheckUnchanged() const override;

 private:
  struct Identity;
  SourceFile() = default;
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::unique_ptr<Identity> identity_;
};

/// The whole content of a small file, such as a config or an index.
/// Errors: as SourceFile; kLimit when it is longer than `max_bytes`.
Result<std::string> ReadSmallFile(const std::filesystem::path& path, uint64_t max_bytes);

/// Waits until names made or removed in a directory have reached the disk.
Status SyncDirectory(const std::filesystem::path& directory);

/// A name for something temporary, hidden and different at every call: ".qstore-PID-N.tmp". Of its
/// own, since a prefix of the final name could exceed the length a name may have.
std::string TemporaryName();

/// An output file that appears under its name only when complete: written beside it under a
/// temporary name, synced and renamed by Commit, removed by the destructor otherwise.
class OutputFile {
 public:
  struct Options {
    bool overwrite = false;  ///< Otherwise kAlreadyExists when `path` exists.
    bool sync = true;        ///< fsync the file and its directory.
  };
  /// Creates missing parent directories; those it created are removed again when they are empty
  /// after the last OutputFile below them is gone. Errors name the file `shown`, for a path that
  /// is itself temporary; empty for `path`.
  /// Errors: kAlreadyExists, kInvalidArgument (`path` is a directory), kIo.
  static Result<std::unique_ptr<OutputFile>> Create(const std::filesystem::path& path,
                                                    const Options& options,
                                                    const std::filesystem::path& shown = {});
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Writes at the end, at the latest in Finish. Not thread-safe. Errors name the path: disk full,
  /// I/O error.
  Status Append(std::span<const std::byte> bytes);
  /// Writes these one after the other at the end. As Append otherwise.
  Status AppendAll(std::span<const std::span<const std::byte>> pieces);
  /// Writes at `offset`, behind all that was appended; thread-safe with other WriteAt calls.
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes appended so far.
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Syncs and closes the file, still under its temporary name. Nothing can be written after it.
  Status Finish();
  /// Finishes when that has not been done, and gives the file its name. Call it last, once.
  Status Commit();

  /// Commit in steps, for files that must appear together: Place finishes the file and gives it its
  /// name, ChangedDirectories are then to be synced, Keep makes it final. Without Keep the
  /// destructor takes the name away again, and what had it before has it back; that alone is lost
  /// when it was replaced on a file system that cannot exchange two names.
  Status Place();
  std::vector<std::filesystem::path> ChangedDirectories() const;
  void Keep();

 private:
  enum class State : uint8_t {
    kTemporary,  // Under its temporary name.
    kPlaced,     // Under its final name, which was free.
    kExchanged,  // The same, and what had that name is under the temporary one.
    kFinal,
  };
  OutputFile() = default;
  std::filesystem::path Target() const { return temporary_.parent_path() / path_.filename(); }
  Status WriteOne(uint64_t offset, std::span<const std::byte> bytes);
  Status WriteVectors(uint64_t offset, std::span<iovec> vectors);
  Status RenameError(int error) const;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  Options options_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::vector<std::byte> tail_;  // Appended, but not written: the last of size_.
  State state_ = State::kTemporary;
  std::vector<std::shared_ptr<const void>> directories_;  ///< Created, outermost first.
};

}  // namespace qstore::io
