// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/directory.h"
#include "io/file_writer.h"
#include "io/staging.h"
#include "qstore/status.h"

namespace qstore::io {

/// An output file that appears under its name only when complete: written in a staging directory
/// beside it, synced and renamed by Commit, removed by the destructor otherwise.
class OutputFile {
 public:
  struct Options {
    bool overwrite = false;  ///< Otherwise kAlreadyExists when `path` exists.
    bool sync = true;        ///< fsync the file and its directory.
    bool tidy = true;        ///< Remove leftovers of ended writers from its directory.
  };
  /// Creates missing parent directories; those it created are removed again when they are empty
  /// after the last OutputFile below them is gone.
  /// Errors: kAlreadyExists; kInvalidArgument (`path` is there and no regular file, nor a link to
  /// one or to nothing), kIo.
  static Result<std::unique_ptr<OutputFile>> Create(const std::filesystem::path& path,
                                                    const Options& options);
  /// A file of `staging`, for an owner that gives it its name, for which Commit is not called.
  /// Errors name the file `shown`.
  static Result<std::unique_ptr<OutputFile>> CreateIn(const std::shared_ptr<Staging>& staging,
                                                      const std::filesystem::path& shown,
                                                      const Options& options);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// What is appended is written in Finish at the latest.
  FileWriter& writer() { return writer_; }
  Status Append(std::span<const std::byte> bytes) { return writer_.Append(bytes); }
  Status WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
    return writer_.WriteAt(offset, bytes);
  }
  /// Bytes appended so far.
  uint64_t size() const { return writer_.size(); }
  const std::filesystem::path& path() const { return path_; }
  /// Lets whoever may read it run it. Errors: kIo.
  Status MakeExecutable();
  /// Gives it the permissions of another file. Errors: kIo, kNotFound.
  Status TakePermissions(const std::filesystem::path& of);
  /// Its name in the staging directory.
  const std::string& staged_name() const { return staged_name_; }
  /// Syncs and closes the file, still under its temporary name. Nothing can be written after it.
  Status Finish();
  /// Finishes when that has not been done, and gives the file its name. Call it last, once. On an
  /// error what had the name before has it still or again; that alone can be lost when the name
  /// cannot be synced on a file system that can neither exchange two names nor link a file twice.
  Status Commit();

 private:
  OutputFile(std::filesystem::path path, const Options& options);
  Status OpenStaged(const std::shared_ptr<Staging>& staging);
  Status SyncNames() const;
  std::filesystem::path path_;
  Options options_;
  std::vector<std::shared_ptr<const void>> created_;  // Directories, outermost first.
  std::optional<Directory> directory_;                // Where Commit names the file.
  std::shared_ptr<Staging> staging_;
  std::string staged_name_;
  FileWriter writer_;
};

}  // namespace qstore::io
