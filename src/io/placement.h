// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "io/directory.h"
#include "io/staging.h"
#include "qstore/status.h"

namespace qstore::io {

/// Whether `name` in the directory `at` (AT_FDCWD with a path too) may become an output file.
/// Errors name `shown`: kInvalidArgument (a directory, or what is neither a regular file nor a link
/// to one or to nothing), kAlreadyExists (something, without `overwrite`).
Status CheckTarget(int at, const std::string& name, const std::filesystem::path& shown,
                   bool overwrite);

/// One name that changes when outputs appear, and can be changed back until the staging directory
/// is removed: what had the name lies there meanwhile.
class Placement {
 public:
  /// Errors will name `shown`.
  Placement(Staging* staging, std::filesystem::path shown)
      : staging_(staging), shown_(std::move(shown)) {}

  /// Gives the name to the file `staged` of the staging directory. With `overwrite`, what has the
  /// name gives way; it can be brought back unless the file system can neither exchange two names
  /// nor link a file twice. Errors: as CheckTarget; kIo.
  Status Place(const std::string& staged, const Directory& at, const std::string& name,
               bool overwrite);
  /// Takes the name away. What is not there stays so.
  Status SetAside(const Directory& at, const std::string& name);
  /// Undoes the call made, which may have ended by an error or an exception; needs no memory. `at`
  /// may be negative, with errno. Returns: `error`, which says where to find what had the name when
  /// that cannot be brought back. The staging directory is abandoned then.
  Status TakeBack(int at, const std::string& name, Status error);

 private:
  enum class State : uint8_t {
    kNothing,   // Has happened, or can be undone.
    kPlaced,    // The name was free.
    kReplaced,  // What had the name is old_ in the staging directory.
    kRemoved,   // The same, and the name is free.
  };
  Status RenameError(int error) const;
  // False with errno.
  bool Undo(int at, const char* name);

  Staging* staging_;
  std::filesystem::path shown_;
  std::string old_;
  State state_ = State::kNothing;
};

}  // namespace qstore::io
