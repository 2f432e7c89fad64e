// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::io {

class Descriptor;

/// An input file opened for reading at any offset (pread). Thread-safe.
class SourceFile final : public ByteSource {
 public:
  /// Opens a regular file, following symbolic links.
  /// Errors: kNotFound, kInvalidArgument (a directory, pipe, socket or device), kIo (permissions
  /// and the rest).
  static Result<std::shared_ptr<const SourceFile>> Open(const std::filesystem::path& path);
  /// The same for one of many: of all files opened like this a few are open at a time, and one is
  /// opened again when it is read. Read then also fails with kSourceChanged for what CheckUnchanged
  /// looks at.
  static Result<std::shared_ptr<const SourceFile>> OpenOnDemand(const std::filesystem::path& path);
  ~SourceFile() override;
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The size when it was opened.
  uint64_t size() const override { return size_; }
  /// Errors name the path and the offset: kInvalidArgument (range outside the file), kSourceChanged
  /// (the file has become shorter), kIo.
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  /// kSourceChanged when size, modification or change time, device or inode of the path differ from
  /// when it was opened.
  Status CheckUnchanged() const override;
  /// Size and modification time.
  std::string identity() const override;

 private:
  class FewOpen;
  struct Identity;
  SourceFile() = default;
  /// The open file, and the first time its identity.
  Result<std::shared_ptr<const Descriptor>> OpenNow();
  Result<std::shared_ptr<const Descriptor>> Reopen() const;
  std::filesystem::path path_;
  std::shared_ptr<const Descriptor> descriptor_;  // Null when it is opened on demand.
  bool is_on_demand_ = false;                     // Once FewOpen knows of it.
  uint64_t size_ = 0;
  std::unique_ptr<Identity> identity_;
};

/// The whole content of a small file, such as a config or an index.
/// Errors: as SourceFile; kLimit when it is longer than `max_bytes`.
Result<std::string> ReadSmallFile(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace qstore::io
