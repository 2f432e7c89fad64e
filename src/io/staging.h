// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "io/descriptor.h"
#include "io/directory.h"
#include "io/random_name.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory for what has no name yet: ".qstore-RANDOM.tmp" in the directory where the names will
/// be, open to its maker alone. The destructor removes it with all it holds, for which it needs no
/// memory. Nothing is removed that this object did not make.
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

  const Directory& directory() const { return *directory_; }
  /// A name not used in it so far. Thread-safe.
  std::string NewName() { return std::to_string(names_++); }
  /// Takes the marker away: from now on only this object removes the directory. To be called before
  /// something of the user's is moved into it.
  void Unmark();
  /// The destructor leaves it as it is, for something of the user's that could not be moved back.
  void Abandon();

 private:
  explicit Staging(Directory parent) : parent_(std::move(parent)) {}
  // Makes and opens a directory of a new name. Returns: false when that was taken, or exchanged.
  Result<bool> MakeOne(const std::filesystem::path& shown);
  // Returns: 0, or the errno of what failed.
  int Mark();
  void Remove();

  Directory parent_;
  TemporaryName name_{};
  bool is_made_ = false;                // There is a directory of that name, which is this one.
  std::optional<Directory> directory_;  // Once it is open.
  Descriptor lock_;
  std::atomic<uint64_t> names_{0};
};

/// Removes from `directory` what writers have left that ended without cleaning up: directories with
/// the name of a Staging, owned by this user, whose marker is of this run of the machine and not
/// locked. A marker of another machine or of before it started proves nothing, since locks do not
/// reach that far. Everything else is left alone. What cannot be removed stays.
void RemoveLeftovers(const Directory& directory);

}  // namespace qstore::io
