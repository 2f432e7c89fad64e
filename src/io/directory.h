// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

/// An open directory. What is done in it is done in that very directory, whatever its path leads to
/// by then. Names in it are looked up without following symbolic links.
/// Thread-safety: const calls may overlap.
class Directory {
 public:
  /// Follows symbolic links. Errors: kNotFound, kIo.
  static Result<Directory> Open(const std::filesystem::path& path);
  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  int fd() const { return fd_; }
  /// For messages.
  const std::filesystem::path& path() const { return path_; }
  void set_path(std::filesystem::path path) { path_ = std::move(path); }

  /// The directory `relative` beneath this one, '/'-separated; empty for this one. Goes from name
  /// to name, so that no link leads out. Errors: kNotFound; kInvalidArgument (a symbolic link, no
  /// directory, a name such as ".."), kIo.
  Result<Directory> Below(std::string_view relative) const;
  /// As Below, but makes what is missing and appends each path made to `*made`.
  Result<Directory> MakeBelow(std::string_view relative, std::vector<std::string>* made) const;

  /// All names but "." and "..". Errors: kIo.
  Result<std::vector<std::string>> List() const;
  /// Waits until names made or removed in it have reached the disk.
  Status Sync() const;

 private:
  Directory(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  Status CheckNames(std::string_view relative) const;
  Result<Directory> Copy() const;
  // REQUIRES: a name that CheckNames lets pass.
  Result<Directory> Child(const std::string& name) const;
  Result<Directory> ChildOrNew(const std::string& name, bool* made) const;

  int fd_;
  std::filesystem::path path_;
};

/// Renames and fails with EEXIST when the new name is taken, in one step where the system can.
/// Returns: 0, or -1 with errno.
int RenameNoReplace(const Directory& from, const std::string& old_name, const Directory& to,
                    const std::string& new_name);

/// Exchanges what two names stand for, in one step. False when the file system cannot do that.
bool ExchangeNames(const Directory& a, const std::string& name_a, const Directory& b,
                   const std::string& name_b);

/// Removes all that a directory holds but `kept`, without following links and with few descriptors
/// however deep it is. False when something is left.
bool RemoveContents(const Directory& directory, std::string_view kept = {});

}  // namespace qstore::io
