// SPDX-License-Identifier: Apache-2.0
#include "io/output_tree.h"

#include <unistd.h>

#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {

namespace fs = std::filesystem;

/// A directory under a temporary name, beside the place it is for. Removed by the destructor with
/// all it holds, unless it has its place.
class OutputTree::Staging {
 public:
  static Result<std::unique_ptr<Staging>> Make(const fs::path& directory) {
    std::error_code error;
    const fs::path absolute = fs::absolute(directory, error).lexically_normal();
    if (error) return SystemError(directory, "cannot resolve", error.value());
    std::unique_ptr<Staging> staging(new Staging());
    staging->target_ = absolute.has_filename() ? absolute : absolute.parent_path();
    fs::path beside = staging->target_.parent_path();
    while (beside.has_relative_path() && !fs::exists(beside, error)) {
      staging->missing_.insert(staging->missing_.begin(), beside);
      beside = beside.parent_path();
    }
    staging->root_ = beside / TemporaryName();
    if (!fs::create_directory(staging->root_, error)) {
      return SystemError(directory, "cannot create", error ? error.value() : EEXIST);
    }
    return staging;
  }

  ~Staging() {
    std::error_code ignored;
    if (!placed_) fs::remove_all(root_, ignored);
    for (auto made = made_.rbegin(); made != made_.rend() && !placed_; ++made) {
      ::rmdir(made->c_str());
    }
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const fs::path& root() const { return root_; }

  Status Place(bool sync) {
    for (const fs::path& parent : missing_) {
      std::error_code error;
      if (fs::create_directory(parent, error)) made_.push_back(parent);
      if (error) return SystemError(parent, "cannot create directory", error.value());
    }
    if (::rename(root_.c_str(), target_.c_str()) != 0) {
      if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) {
        return AlreadyExists(target_.string() + ": appeared meanwhile");
      }
      return SystemError(target_, "cannot rename the finished directory to this name", errno);
    }
    const Status synced = sync ? SyncParents() : Status();
    // What cannot be taken back stays.
    placed_ = synced.ok() || ::rename(target_.c_str(), root_.c_str()) != 0;
    return synced;
  }

 private:
  Staging() = default;

  Status SyncParents() const {
    QSTORE_TRY(SyncDirectory(target_.parent_path()));
    for (const fs::path& made : made_) QSTORE_TRY(SyncDirectory(made.parent_path()));
    return {};
  }

  fs::path target_;
  fs::path root_;
  std::vector<fs::path> missing_;  // Above the target, outermost first.
  std::vector<fs::path> made_;     // Those of them that this object created.
  bool placed_ = false;
};

OutputTree::OutputTree(const OutputFile::Options& options) : options_(options) {}
OutputTree::OutputTree(OutputTree&&) noexcept = default;
OutputTree::~OutputTree() = default;

Result<OutputTree> OutputTree::Create(const fs::path& directory,
                                      const OutputFile::Options& options) {
  OutputTree tree(options);
  tree.directory_ = directory;
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status)) {
    QSTORE_ASSIGN(tree.staging_, Staging::Make(directory));
    return tree;
  }
  if (!fs::is_directory(status)) {
    return InvalidArgument(directory.string() + ": is not a directory");
  }
  const bool is_empty = fs::is_empty(directory, error);
  if (error) return SystemError(directory, "cannot list", error.value());
  if (!is_empty && !options.overwrite) return AlreadyExists(directory.string() + ": is not empty");
  return tree;
}

Result<OutputFile*> OutputTree::Add(const std::string& path) {
  const fs::path root = staging_ == nullptr ? directory_ : staging_->root();
  QSTORE_ASSIGN(auto file, OutputFile::Create(root / path, options_, directory_ / path));
  files_.push_back(std::move(file));
  return files_.back().get();
}

Status OutputTree::Place() {
  // All that may fail for want of space comes before the first name.
  for (const auto& file : files_) QSTORE_TRY(file->Finish());
  std::set<fs::path> changed;
  for (const auto& file : files_) {
    QSTORE_TRY(file->Place());
    for (fs::path& directory : file->ChangedDirectories()) changed.insert(std::move(directory));
  }
  for (const std::string& path : removed_) {
    QSTORE_TRY(SetAside(path));
    changed.insert((directory_ / path).parent_path());
  }
  if (options_.sync) {
    for (const fs::path& directory : changed) QSTORE_TRY(SyncDirectory(directory));
  }
  return staging_ == nullptr ? Status() : staging_->Place(options_.sync);
}

Status OutputTree::SetAside(const std::string& path) {
  fs::path name = directory_ / path;
  fs::path temporary = name.parent_path() / TemporaryName();
  if (::rename(name.c_str(), temporary.c_str()) == 0) {
    aside_.emplace_back(std::move(name), std::move(temporary));
  } else if (errno != ENOENT) {
    return SystemError(name, "cannot remove", errno);
  }
  return {};
}

Status OutputTree::Commit() {
  const Status status = Place();
  if (status.ok()) {
    for (const auto& file : files_) file->Keep();
  }
  for (const auto& [name, temporary] : aside_) {
    status.ok() ? ::unlink(temporary.c_str()) : ::rename(temporary.c_str(), name.c_str());
  }
  files_.clear();
  staging_.reset();
  return status;
}

}  // namespace qstore::io
