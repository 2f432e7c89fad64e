// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/descriptor.h"
#include "qstore/status.h"

namespace qstore::io {

/// An open directory. What is done in it is done in that very directory, whatever its path leads to
/// by then. Names in it are looked up without following symbolic links.
/// Thread-safety: const calls may overlap.
class Directory {
 public:
  /// Follows symbolic links. Errors: kNotFound, kIo.
  static Result<Directory> Open(const std::filesystem::path& path);

  int fd() const { return fd_.get(); }
  /// For messages.
  const std::filesystem::path& path() const { return path_; }
  void set_path(std::filesystem::path path) { path_ = std::move(path); }

  /// The directory `relative` beneath this one, '/'-separated; empty for this one. Goes from name
  /// to name, so that no link leads out. Errors: kNotFound; kInvalidArgument (a symbolic link, no
  /// directory, a name such as ".."), kIo.
  Result<Directory> Below(std::string_view relative) const;
  /// As Below, but makes what is missing and appends each path made to `*made`, also when it ends
  /// by an exception.
  Result<Directory> MakeBelow(std::string_view relative, std::vector<std::string>* made) const;
  /// As Below, without memory, for what has to be undone. Returns: none, with errno.
  Descriptor Find(std::string_view relative) const;

  /// All names but "." and "..". Errors: kIo.
  Result<std::vector<std::string>> List() const;
  /// Waits until names made or removed in it have reached the disk.
  Status Sync() const;

 private:
  Directory(Descriptor fd, std::filesystem::path path)
      : fd_(std::move(fd)), path_(std::move(path)) {}
  Status CheckNames(std::string_view relative) const;
  Result<Directory> Copy() const;
  // REQUIRES: a name that CheckNames lets pass.
  Result<Directory> Child(const std::string& name) const;

  Descriptor fd_;
  std::filesystem::path path_;
};

/// The names in a directory but "." and "..", one after the other. Needs no memory but its own.
class NameReader {
 public:
  /// Of the open directory `directory`, which may be open for no more than names in it.
  explicit NameReader(int directory);
  /// Valid until the next call. Null at the end, and where the directory cannot be read.
  const char* Next();
  /// The errno of what failed; 0 for nothing.
  int error() const { return error_; }

 private:
  Descriptor fd_;
  int error_ = 0;
  size_t at_ = 0;
  size_t size_ = 0;
  alignas(8) std::array<std::byte, 4096> entries_;
};

/// Renames and fails with EEXIST when the new name is taken, in one step where the system can.
/// Returns: 0, or -1 with errno.
int RenameNoReplace(int from, const char* old_name, int to, const char* new_name);

/// Exchanges what two names stand for, in one step. False when the file system cannot do that.
bool ExchangeNames(int directory_a, const char* a, int directory_b, const char* b);

/// Removes all that an open directory holds but `kept`, without following links, without memory and
/// with few descriptors however deep it is. Returns: 0, or the errno of what left something there.
int RemoveContents(int directory, std::string_view kept = {});

/// Removes what has a name, all that it holds included, likewise. What is not there is no error.
int RemoveAll(int directory, const char* name);

}  // namespace qstore::io
