// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "qstore/status.h"
#include "store/archive_file.h"
#include "store/object_cache.h"

namespace qstore::store {

/// Any bytes of the objects of an archive, decoded as they are asked for: for a writer, which takes
/// some of many objects in an order of its own. Thread-safe.
class StoredContents {
 public:
  /// `archive` outlives this.
  explicit StoredContents(const ArchiveFile* archive);
  StoredContents(const StoredContents&) = delete;
  StoredContents& operator=(const StoredContents&) = delete;

  const ArchiveFile& archive() const { return archive_; }
  /// Fills `out` from `offset` of the object's content. REQUIRES: a range inside it.
  /// Errors: kCorrupt naming tensor, chunk and offset; kUnsupportedFeature, read errors.
  Status Read(uint32_t object, uint64_t offset, std::span<std::byte> out);

 private:
  const ArchiveFile& archive_;
  ObjectCache cache_;
};

}  // namespace qstore::store
