// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "qstore/file_reader.h"
#include "store/archive_file.h"

namespace qstore::store {

/// A stretch of a file, and where its first byte lies.
struct PlacedStretch {
  uint64_t begin = 0;
  uint32_t part = 0;        ///< Of the file, with content.
  uint64_t part_begin = 0;  ///< In the file.
};

/// How files are cut into stretches: found when a file is first asked for, and remembered.
/// Thread-safe.
class FileStretches {
 public:
  explicit FileStretches(const ArchiveFile& archive);

  uint64_t most_bytes() const { return most_bytes_; }
  /// The stretch with the byte at `offset`, and in `end` where it ends. REQUIRES: there is such a
  /// byte.
  PlacedStretch At(uint32_t file, uint64_t offset, uint64_t* end);

 private:
  using List = std::vector<PlacedStretch>;
  std::shared_ptr<const List> ListOf(uint32_t file);
  List Cut(uint32_t file) const;

  const ArchiveFile& archive_;
  uint64_t most_bytes_ = 0;
  std::mutex mutex_;
  std::unordered_map<uint32_t, std::shared_ptr<const List>> lists_;
};

}  // namespace qstore::store
