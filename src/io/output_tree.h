// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory of output files that appear together in Commit; an object dropped before leaves
/// nothing behind. A directory that does not exist yet is written under a temporary name beside its
/// place and renamed as a whole. In one that exists every file has a temporary name until all are
/// complete and synced. Not thread-safe, but the files may be written by different threads.
class OutputTree {
 public:
  /// With `overwrite`, files of the same names are replaced and others are left alone.
  /// Errors: kAlreadyExists (the directory holds something), kInvalidArgument (no directory), kIo.
  static Result<OutputTree> Create(const std::filesystem::path& directory,
                                   const OutputFile::Options& options);
  OutputTree(OutputTree&&) noexcept;
  OutputTree& operator=(OutputTree&&) = delete;
  ~OutputTree();

  /// Opens one more file. `path` is relative and '/'-separated. The tree owns the file.
  Result<OutputFile*> Add(const std::string& path);
  /// Has Commit remove a file that stood in the directory before, if it is still there.
  void Remove(const std::string& path) { removed_.push_back(path); }
  /// Finishes and names all files, then removes what is to be removed; call it once. On an error
  /// the directory is as it was before: files that had appeared are gone, files that had been
  /// replaced or removed are back. Two things can leave a mixture of old and new in a directory
  /// that existed: the end of the process or the machine between the first name and the last (what
  /// is missing then stands under temporary names), and an error on a file system that cannot
  /// exchange two names (renameat2).
  Status Commit();

 private:
  class Staging;
  explicit OutputTree(const OutputFile::Options& options);
  Status Place();
  Status SetAside(const std::string& path);
  std::filesystem::path directory_;
  OutputFile::Options options_;
  std::unique_ptr<Staging> staging_;  // Null when the directory exists. Outlives the files.
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::vector<std::string> removed_;
  /// Files to be removed: their names, and the temporary names they have until all is well.
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> aside_;
};

}  // namespace qstore::io
