// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "io/directory.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory for what has no name yet: ".qstore-RANDOM.tmp" in the directory where the names will
/// be, open to its maker alone. The destructor removes it with all it holds. Nothing is removed
/// that this object did not make.
///
/// While it exists it holds a marker, a file with the number of this run of the machine, which the
/// writer keeps locked. A process that was killed leaves the directory, the marker and no lock; the
/// next writer in the same place removes it then (RemoveLeftovers). The marker gets its name only
/// when it is locked and complete, so that a directory that is being made is never taken for a
/// leftover. Where locks or the number of the run are not to be had there is no marker, and what a
/// killed process leaves stays.
class Staging {
 public:
  /// Makes one in `parent`. Errors name `shown`, the output it is for: kIo, kNotFound.
  static Result<std::unique_ptr<Staging>> Make(const Directory& parent,
                                               const std::filesystem::path& shown);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const Directory& directory() const { return directory_; }
  /// A name not used in it so far. Thread-safe.
  std::string NewName() { return std::to_string(names_++); }
  /// Takes the marker away: from now on only this object removes the directory. To be called before
  /// something of the user's is moved into it.
  void Unmark();
  /// The destructor leaves it as it is, for something of the user's that could not be moved back.
  void Abandon();

 private:
  Staging(Directory parent, std::string name, Directory directory, std::filesystem::path shown)
      : parent_(std::move(parent)),
        name_(std::move(name)),
        directory_(std::move(directory)),
        shown_(std::move(shown)) {}
  Status Mark();
  void Remove();

  Directory parent_;
  std::string name_;
  Directory directory_;
  std::filesystem::path shown_;  // What it is for.
  int lock_ = -1;
  bool abandoned_ = false;
  std::atomic<uint64_t> names_{0};
};

/// Removes from `directory` what writers have left that ended without cleaning up: directories with
/// the name of a Staging, owned by this user, whose marker is of this run of the machine and not
/// locked. A marker of another machine or of before it started proves nothing, since locks do not
/// reach that far. Everything else is left alone. What cannot be removed stays.
void RemoveLeftovers(const Directory& directory);

}  // namespace qstore::io
