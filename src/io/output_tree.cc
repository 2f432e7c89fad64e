// SPDX-License-Identifier: Apache-2.0
#include "io/output_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

constexpr char kNewTree[] = "tree";

// Where the last name of a path begins.
size_t NameBegin(std::string_view path) { return path.rfind('/') + 1; }

std::string ParentOf(const std::string& path) {
  const size_t name = NameBegin(path);
  return path.substr(0, name == 0 ? 0 : name - 1);
}

std::string NameOf(const std::string& path) { return path.substr(NameBegin(path)); }

// Those that are empty, innermost first. Needs no memory.
void RemoveDirectories(const Directory& root, const std::vector<std::string>& outermost_first) {
  for (auto path = outermost_first.rbegin(); path != outermost_first.rend(); ++path) {
    const size_t name = NameBegin(*path);
    const Descriptor at = root.Find(std::string_view(*path).substr(0, name == 0 ? 0 : name - 1));
    if (at.ok()) ::unlinkat(at.get(), path->c_str() + name, AT_REMOVEDIR);
  }
}

}  // namespace

/// A name in the tree that gets a staged file, or loses what it has.
struct OutputTree::Change {
  std::string parent;
  std::string name;
  std::string staged;  // Empty for a removal.
  Placement placement;
};

/// The place of a directory that does not exist yet.
class OutputTree::NewPlace {
 public:
  /// Finds the directory above that exists.
  static Result<std::unique_ptr<NewPlace>> Find(const fs::path& directory) {
    std::error_code error;
    fs::path target = fs::absolute(directory, error).lexically_normal();
    if (error) return SystemError(directory, "cannot resolve", error.value());
    if (!target.has_filename()) target = target.parent_path();
    fs::path above = target.parent_path();
    std::string missing;
    while (above.has_relative_path() && !fs::exists(above, error)) {
      const std::string below = std::move(missing);
      missing = above.filename().string();
      if (!below.empty()) missing.append("/").append(below);
      above = above.parent_path();
    }
    QSTORE_ASSIGN(Directory opened, Directory::Open(above));
    return std::unique_ptr<NewPlace>(
        new NewPlace(std::move(opened), std::move(missing), std::move(target)));
  }

  const Directory& above() const { return above_; }

  Status Place(const Staging& staging, bool sync) {
    QSTORE_ASSIGN(const Directory parent, above_.MakeBelow(missing_, &made_));
    if (::renameat(staging.directory().fd(), kNewTree, parent.fd(), name_.c_str()) != 0) {
      return RenameError(errno);
    }
    is_placed_ = true;
    return sync ? Sync(parent) : Status();
  }

  // Undoes Place, which may have ended by an error or an exception; needs no memory. What cannot be
  // taken back stays.
  void TakeBack(const Staging& staging) {
    const Descriptor parent = above_.Find(missing_);
    const int to = staging.directory().fd();
    if (is_placed_ && ::renameat(parent.get(), name_.c_str(), to, kNewTree) != 0) return;
    RemoveDirectories(above_, made_);
  }

 private:
  NewPlace(Directory above, std::string missing, fs::path target)
      : above_(std::move(above)),
        missing_(std::move(missing)),
        target_(std::move(target)),
        name_(target_.filename().string()) {}

  Status RenameError(int error) const {
    if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR) {
      return AlreadyExists(target_.string() + ": appeared meanwhile");
    }
    return SystemError(target_, "cannot rename the finished directory to this name", error);
  }

  Status Sync(const Directory& parent) const {
    QSTORE_TRY(parent.Sync());
    for (const std::string& made : made_) {
      QSTORE_ASSIGN(const Directory changed, above_.Below(ParentOf(made)));
      QSTORE_TRY(changed.Sync());
    }
    return {};
  }

  Directory above_;
  std::string missing_;  // Between it and the target, when it was looked for.
  fs::path target_;
  std::string name_;  // Its last.
  bool is_placed_ = false;
  std::vector<std::string> made_;  // Directories below `above_`, outermost first.
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
    QSTORE_ASSIGN(tree.new_place_, NewPlace::Find(directory));
    RemoveLeftovers(tree.new_place_->above());
    QSTORE_ASSIGN(tree.staging_, Staging::Make(tree.new_place_->above(), directory));
    const Directory& staged = tree.staging_->directory();
    if (::mkdirat(staged.fd(), kNewTree, 0777) != 0) {
      return SystemError(directory, "cannot create directory", errno);
    }
    auto root = staged.Below(kNewTree);
    if (!root.ok()) {
      return Status(root.status().code(),
                    directory.string() + ": cannot open what was made for it");
    }
    tree.root_ = std::move(*root);
    tree.root_->set_path(directory);
    return tree;
  }
  if (!fs::is_directory(status)) {
    return InvalidArgument(directory.string() + ": is not a directory");
  }
  QSTORE_ASSIGN(tree.root_, Directory::Open(directory));
  RemoveLeftovers(*tree.root_);
  if (!options.overwrite) {
    QSTORE_ASSIGN(const auto names, tree.root_->List());
    if (!names.empty()) return AlreadyExists(directory.string() + ": is not empty");
  }
  QSTORE_ASSIGN(tree.staging_, Staging::Make(*tree.root_, directory));
  return tree;
}

// What cannot have its place is refused before it is written.
Status OutputTree::CheckPlace(const std::string& path) const {
  const auto parent = root_->Below(ParentOf(path));
  if (parent.status().code() == ErrorCode::kNotFound && !parent.ok()) return {};
  if (!parent.ok()) return parent.status();
  return CheckTarget(parent->fd(), NameOf(path), directory_ / path, options_.overwrite);
}

Result<OutputFile*> OutputTree::Add(const std::string& path) {
  QSTORE_TRY(CheckPlace(path));
  QSTORE_ASSIGN(auto file, OutputFile::CreateIn(staging_, directory_ / path, options_));
  files_.push_back({path, std::move(file)});
  return files_.back().file.get();
}

Status OutputTree::MakeChange(Change* change, std::set<std::string>* changed) {
  if (change->staged.empty()) {
    const auto at = root_->Below(change->parent);
    if (!at.ok()) return at.status().code() == ErrorCode::kNotFound ? Status() : at.status();
    QSTORE_TRY(change->placement.SetAside(*at, change->name));
  } else {
    QSTORE_ASSIGN(const Directory at, MakeDirectory(change->parent, changed));
    QSTORE_TRY(change->placement.Place(change->staged, at, change->name, options_.overwrite));
  }
  changed->insert(change->parent);
  return {};
}

Result<Directory> OutputTree::MakeDirectory(const std::string& path,
                                            std::set<std::string>* changed) {
  const size_t before = made_.size();
  auto made = root_->MakeBelow(path, &made_);
  for (size_t i = before; i < made_.size(); ++i) changed->insert(ParentOf(made_[i]));
  return made;
}

Status OutputTree::MakeChanges(std::set<std::string>* changed) {
  const auto make = [&](const std::string& path, const std::string& staged) {
    changes_.push_back(
        {ParentOf(path), NameOf(path), staged, Placement(staging_.get(), directory_ / path)});
    return MakeChange(&changes_.back(), changed);
  };
  for (const File& file : files_) QSTORE_TRY(make(file.path, file.file->staged_name()));
  for (const std::string& path : directories_) {
    QSTORE_TRY(MakeDirectory(path, changed).status());
  }
  for (const std::string& path : removed_) QSTORE_TRY(make(path, {}));
  return {};
}

Status OutputTree::Place() {
  // All that may fail for want of space comes before the first name.
  for (const File& file : files_) QSTORE_TRY(file.file->Finish());
  // Files of the user's may lie in the staging directory from here on.
  if (options_.overwrite || !removed_.empty()) staging_->Unmark();
  std::set<std::string> changed;
  QSTORE_TRY(MakeChanges(&changed));
  if (options_.sync) {
    for (const std::string& path : changed) {
      QSTORE_ASSIGN(const Directory directory, root_->Below(path));
      QSTORE_TRY(directory.Sync());
    }
  }
  return new_place_ == nullptr ? Status() : new_place_->Place(*staging_, options_.sync);
}

Status OutputTree::TakeBack(Status error) {
  if (new_place_ != nullptr) {
    new_place_->TakeBack(*staging_);
    return error;  // All else goes with the staging directory.
  }
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    const Descriptor at = root_->Find(change->parent);
    error = change->placement.TakeBack(at.get(), change->name, std::move(error));
  }
  RemoveDirectories(*root_, made_);
  return error;
}

Status OutputTree::Commit() {
  Status status = base::Guarded([this] { return Place(); });
  if (!status.ok()) status = TakeBack(std::move(status));
  changes_.clear();
  files_.clear();
  staging_.reset();
  return status;
}

}  // namespace qstore::io
