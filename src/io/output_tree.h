// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/directory.h"
#include "io/output_file.h"
#include "io/placement.h"
#include "io/staging.h"
#include "qstore/status.h"

namespace qstore::io {

/// A directory of output files that appear together in Commit; an object dropped before leaves
/// nothing behind. All of it is written in a staging directory: beside the place of a directory
/// that does not exist yet, which is renamed as a whole; in one that exists otherwise, whose files
/// get their names when all are complete and synced. Symbolic links may lead to the directory, but
/// none is followed beneath it, whenever it appears. What is beneath is on one file system. Not
/// thread-safe, but the files may be written by different threads.
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
  /// Errors: kInvalidArgument (a symbolic link or a file stands where a folder must be; something
  /// else than a file has the name), kAlreadyExists, kIo.
  Result<OutputFile*> Add(const std::string& path);
  /// Has Commit make a directory, unless there is one of that name.
  void AddDirectory(const std::string& path) { directories_.push_back(path); }
  /// Has Commit remove a file that stood in the directory before, if it is still there.
  void Remove(const std::string& path) { removed_.push_back(path); }
  /// Finishes and names all files, then removes what is to be removed; call it once. On an error
  /// the directory is as it was before: files that had appeared are gone, files that had been
  /// replaced or removed are back. Two things can leave a mixture of old and new in a directory
  /// that existed: the end of the process or the machine between the first name and the last (what
  /// is missing then, old or new, stands in a directory .qstore-*.tmp, which nobody removes), and
  /// an error on a file system that can neither exchange two names nor link a file twice.
  Status Commit();

 private:
  struct File {
    std::string path;  // In the tree.
    std::unique_ptr<OutputFile> file;
  };
  struct Change;
  class NewPlace;
  explicit OutputTree(const OutputFile::Options& options);
  Status CheckPlace(const std::string& path) const;
  Status Place();
  Status MakeChanges(std::set<std::string>* changed);
  Status MakeChange(Change* change, std::set<std::string>* changed);
  // Notes in which directories names are new.
  Result<Directory> MakeDirectory(const std::string& path, std::set<std::string>* changed);
  /// Undoes what Place did before it ended by an error or an exception; needs no memory.
  /// Returns: the error, with what could not be brought back.
  Status TakeBack(Status error);

  std::filesystem::path directory_;
  OutputFile::Options options_;
  std::shared_ptr<Staging> staging_;
  std::unique_ptr<NewPlace> new_place_;  // Null when the directory exists.
  std::optional<Directory> root_;        // In which files get their names.
  std::vector<File> files_;
  std::vector<std::string> directories_;
  std::vector<std::string> removed_;
  std::vector<Change> changes_;    // Made by Commit so far.
  std::vector<std::string> made_;  // Directories, likewise.
};

}  // namespace qstore::io
