// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "format/index.h"
#include "qstore/status.h"

namespace qstore::store {

class ArchiveFile;

/// The objects that are the head of a file, as its container has it.
std::vector<uint32_t> HeadObjects(const format::Index& index, const format::FileEntry& file);

/// Holds the tensor tables of an open archive against the headers of its files, each file
/// once: the index alone says nothing of which object the file means by which name.
/// Thread-safe.
class HeaderCheck {
 public:
  /// `archive` has its index and outlives this.
  explicit HeaderCheck(const ArchiveFile& archive);

  /// Whether Check has nothing left to do.
  bool IsChecked(uint32_t file) const;
  /// Reads the file's header unless that was done before. Errors: kCorrupt naming archive, file,
  /// tensor and rule, when names, dtypes, shapes or places of tensors are not those of the header;
  /// read errors, kLimit. They are not remembered.
  Status Check(uint32_t file) const;

 private:
  // One header, which several files may have.
  struct Header {
    std::mutex mutex;
    std::optional<uint32_t> right_file;  // One whose table agrees with it.
  };
  Header* HeaderOf(const format::FileEntry& file) const;
  Status CompareByHeader(const format::FileEntry& file) const;
  Status CompareByFile(const format::FileEntry& file, const format::FileEntry& right) const;

  const ArchiveFile& archive_;
  const std::unique_ptr<std::atomic<bool>[]> is_checked_;  // By file.
  mutable std::mutex mutex_;
  mutable std::map<std::vector<uint32_t>, std::unique_ptr<Header>>
      headers_;               // By container and objects.
  mutable std::mutex large_;  // Headers that take much memory are read one at a time.
};

}  // namespace qstore::store
