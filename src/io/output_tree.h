// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory of output files that appear together: every one stays under its temporary name until
/// Commit, and an object dropped before leaves nothing behind. Not thread-safe, but the files may
/// be written by different threads.
class OutputTree {
 public:
  /// With `overwrite`, files of the same names are replaced and others are left alone.
  /// Errors: kAlreadyExists (the directory holds something), kInvalidArgument (no directory).
  static Result<OutputTree> Create(const std::filesystem::path& directory,
                                   const OutputFile::Options& options);
  OutputTree(OutputTree&&) noexcept = default;
  OutputTree& operator=(OutputTree&&) noexcept = default;
  ~OutputTree() = default;

  /// Opens one more file. `path` is relative and '/'-separated. The tree owns the file.
  Result<OutputFile*> Add(const std::string& path);
  /// Finishes and names all files. When one of them fails, those that had no predecessor under
  /// their name are removed again.
  Status Commit();

 private:
  OutputTree() = default;
  std::filesystem::path directory_;
  OutputFile::Options options_;
  std::vector<std::unique_ptr<OutputFile>> files_;
};

}  // namespace qstore::io
