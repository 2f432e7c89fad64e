// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "io/descriptor.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory of entries that several processes make, use and remove. An entry is a directory of
/// files, NAME, beside a file NAME.lock: who makes or removes an entry has that locked for itself,
/// who uses it shares the lock. The time of the lock file is when the entry was asked for last.
class Cache {
 public:
  /// A lock on an entry, until it is destroyed.
  class Lock {
   public:
    explicit Lock(Descriptor fd) : fd_(std::move(fd)) {}
    /// Notes that the entry was asked for now.
    void Touch() const;

   private:
    Descriptor fd_;
  };
  enum class Mode : uint8_t { kShared, kAlone };

  /// Makes the directory when there is none. Errors: kIo.
  static Result<Cache> Open(const std::filesystem::path& directory);

  /// Of any text, the name of an entry: letters of `readable`, and a digest of `key`.
  static std::string NameOf(const std::string& readable, const std::string& key);

  std::filesystem::path PathOf(const std::string& name) const { return directory_ / name; }
  /// Waits for it as long as `go_on` is true. Errors: kIo, kCancelled.
  Result<std::shared_ptr<Lock>> LockEntry(const std::string& name, Mode mode,
                                          const std::function<bool()>& go_on) const;
  /// Removes what was asked for longest ago, until the entries have no more than `bytes`. Those
  /// that are locked stay. What cannot be removed stays too.
  void MakeRoom(uint64_t bytes) const;
  /// Removes the directory of an entry. REQUIRES: it is locked alone. Errors: kIo.
  Status Remove(const std::string& name) const;
  /// Removes the lock file of an entry that has no directory. REQUIRES: it is locked alone.
  void Forget(const std::string& name) const;
  /// Half of the disk that it is on. Errors: kIo.
  Result<uint64_t> HalfOfDisk() const;

 private:
  explicit Cache(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<std::shared_ptr<Lock>> TryLock(const std::string& name, Mode mode) const;

  std::filesystem::path directory_;
};

/// Bytes of all regular files beneath a directory. 0 for what cannot be read.
uint64_t SizeOfTree(const std::filesystem::path& directory);

}  // namespace qstore::io
