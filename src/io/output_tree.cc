// SPDX-License-Identifier: Apache-2.0
#include "io/output_tree.h"

#include <system_error>

#include "base/status_macros.h"

namespace qstore::io {

namespace fs = std::filesystem;

Result<OutputTree> OutputTree::Create(const fs::path& directory,
                                      const OutputFile::Options& options) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status)) {
      return InvalidArgument(directory.string() + ": is not a directory");
    }
    const bool empty = fs::directory_iterator(directory, error) == fs::directory_iterator();
    if (error) return IoError(directory.string() + ": cannot list: " + error.message());
    if (!empty && !options.overwrite) {
      return AlreadyExists(directory.string() + ": is not empty");
    }
  }
  OutputTree tree;
  tree.directory_ = directory;
  tree.options_ = options;
  return tree;
}

Result<OutputFile*> OutputTree::Add(const std::string& path) {
  QSTORE_ASSIGN(auto file, OutputFile::Create(directory_ / path, options_));
  files_.push_back(std::move(file));
  return files_.back().get();
}

Status OutputTree::Commit() {
  for (const auto& file : files_) QSTORE_TRY(file->Finish());
  std::vector<fs::path> fresh;
  for (const auto& file : files_) {
    std::error_code ignored;
    const bool replaces = fs::exists(fs::symlink_status(file->path(), ignored));
    const Status status = file->Commit();
    if (!status.ok()) {
      for (const fs::path& path : fresh) fs::remove(path, ignored);
      return status;
    }
    if (!replaces) fresh.push_back(file->path());
  }
  files_.clear();
  return {};
}

}  // namespace qstore::io
