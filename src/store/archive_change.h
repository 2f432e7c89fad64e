// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "format/index.h"
#include "io/growing_file.h"
#include "qstore/status.h"
#include "store/archive_file.h"

namespace qstore::store {

/// An archive that gets another generation, in place: docs/format.md, "Header". It is locked
/// against other writers until this object is gone. Whatever happens, it is the archive that it was
/// until Commit, and readers of it go on.
class ArchiveChange {
 public:
  /// Opens the archive. Errors: those of Archive::Open and of io::GrowingFile::Open.
  static Result<std::unique_ptr<ArchiveChange>> Begin(const std::filesystem::path& path, bool sync);
  /// Takes back what was appended and not committed.
  ~ArchiveChange();
  ArchiveChange(const ArchiveChange&) = delete;
  ArchiveChange& operator=(const ArchiveChange&) = delete;

  /// As it is before the change.
  const ArchiveFile& archive() const { return *archive_; }
  /// Where payloads go, once StartAppending has returned: behind the archive.
  io::FileWriter& writer() { return file_->writer(); }
  /// Makes sure that the archive ends where it does, whatever follows. Errors: kIo.
  Status StartAppending();
  /// Appends index and footer, and makes them those of the archive. To be called once, after
  /// StartAppending. Errors: kIo, kLimit; the archive is then what it was before, unless the system
  /// does not let its root be written again: then it may be either, and is whole.
  Status Commit(const format::Index& index);

 private:
  explicit ArchiveChange(bool sync) : sync_(sync) {}
  Status Sync() { return sync_ ? file_->Sync() : Status(); }
  Status WriteRoot(size_t place, const format::Root& root);
  Status SwitchRoot(uint64_t length);
  void TakeBack();

  const bool sync_;
  std::shared_ptr<io::GrowingFile> file_;
  std::unique_ptr<const ArchiveFile> archive_;
  format::Header header_;   // As it is in the file.
  bool has_begun_ = false;  // Bytes may lie behind the archive.
  bool made_root_ = false;  // The first root is this object's.
};

}  // namespace qstore::store
