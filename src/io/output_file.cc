// SPDX-License-Identifier: Apache-2.0
#include "io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/placement.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

// Directories that output files created and still hold, by absolute path. The last holder removes
// the directory; that fails, as it should, when a committed file is in it.
class CreatedDirectories {
 public:
  static CreatedDirectories& Instance() {
    static auto& instance = *new CreatedDirectories();  // Outlives every OutputFile.
    return instance;
  }

  // Makes `directory` and what is missing above it; appends what was created, by this call or by
  // another file that still holds it, to `*held`.
  Status Ensure(const fs::path& directory, std::vector<std::shared_ptr<const void>>* held) {
    const std::lock_guard lock(mutex_);
    fs::path built;
    for (const fs::path& part : directory) {
      built /= part;
      QSTORE_TRY(EnsureOne(built, held));
    }
    return {};
  }

 private:
  // Removes the directory when nobody holds it any more.
  struct Holder {
    CreatedDirectories* owner = nullptr;  // Without one it does nothing.
    fs::path path;
    explicit Holder(fs::path p) : path(std::move(p)) {}
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() {
      if (owner != nullptr) owner->Release(path);
    }
  };

  // All that needs memory comes before the directory.
  Status EnsureOne(const fs::path& path, std::vector<std::shared_ptr<const void>>* held) {
    auto holder = std::make_shared<Holder>(path);
    held->emplace_back();
    // An expired entry belongs to a holder that waits for the lock to remove the directory.
    const auto [entry, is_new] = entries_.try_emplace(path);
    const int failed = ::mkdir(path.c_str(), 0777) != 0 ? errno : 0;
    if (failed != 0 && is_new) entries_.erase(entry);
    std::error_code unseen;
    const bool is_there = failed == 0 || fs::is_directory(path, unseen);
    if (!is_there || (failed != 0 && is_new)) {
      held->pop_back();
      if (is_there) return {};
      return SystemError(path, "cannot create directory", unseen ? unseen.value() : failed);
    }
    if (const auto other = entry->second.lock()) {
      held->back() = other;
      return {};
    }
    holder->owner = this;
    entry->second = holder;
    held->back() = std::move(holder);
    return {};
  }

  void Release(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(path);
    if (entry == entries_.end() || !entry->second.expired()) return;
    entries_.erase(entry);
    ::rmdir(path.c_str());
  }

  std::mutex mutex_;
  std::map<fs::path, std::weak_ptr<Holder>> entries_;
};

}  // namespace

Result<std::unique_ptr<OutputFile>> OutputFile::Create(const fs::path& path,
                                                       const Options& options) {
  if (!path.has_filename()) return InvalidArgument(path.string() + ": names no file");
  QSTORE_TRY(CheckTarget(AT_FDCWD, path.string(), path, options.overwrite));
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error) return SystemError(path, "cannot resolve", error.value());

  std::unique_ptr<OutputFile> file(new OutputFile(path, options));
  QSTORE_TRY(CreatedDirectories::Instance().Ensure(absolute.parent_path(), &file->created_));
  QSTORE_ASSIGN(file->directory_, Directory::Open(absolute.parent_path()));
  if (options.tidy) RemoveLeftovers(*file->directory_);
  QSTORE_ASSIGN(const std::shared_ptr<Staging> staging, Staging::Make(*file->directory_, path));
  QSTORE_TRY(file->OpenStaged(staging));
  return file;
}

Result<std::unique_ptr<OutputFile>> OutputFile::CreateIn(const std::shared_ptr<Staging>& staging,
                                                         const fs::path& shown,
                                                         const Options& options) {
  std::unique_ptr<OutputFile> file(new OutputFile(shown, options));
  QSTORE_TRY(file->OpenStaged(staging));
  return file;
}

OutputFile::OutputFile(fs::path path, const Options& options)
    : path_(std::move(path)), options_(options), writer_(path_) {}

Status OutputFile::OpenStaged(const std::shared_ptr<Staging>& staging) {
  staging_ = staging;
  staged_name_ = staging->NewName();
  const int fd = OpenAt(staging->directory().fd(), staged_name_.c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return SystemError(path_, "cannot create", errno);
  writer_.Attach(fd);
  return {};
}

OutputFile::~OutputFile() {
  if (writer_.fd() >= 0) ::close(writer_.fd());
  staging_.reset();
  while (!created_.empty()) created_.pop_back();
}

Status OutputFile::MakeExecutable() {
  struct stat status;
  if (::fstat(writer_.fd(), &status) != 0) return SystemError(path_, "cannot stat", errno);
  const mode_t mode = status.st_mode & 07777;
  if (::fchmod(writer_.fd(), mode | (mode & 0444) >> 2) == 0) return {};
  return SystemError(path_, "cannot make executable", errno);
}

Status OutputFile::TakePermissions(const fs::path& of) {
  struct stat status;
  if (::stat(of.c_str(), &status) != 0) return SystemError(of, "cannot stat", errno);
  if (::fchmod(writer_.fd(), status.st_mode & 07777) == 0) return {};
  return SystemError(path_, "cannot set permissions", errno);
}

Status OutputFile::Finish() {
  if (writer_.fd() < 0) return {};
  QSTORE_TRY(writer_.Flush());
  const int fd = writer_.fd();
  writer_.Detach();
  const int sync_error = options_.sync && ::fsync(fd) != 0 ? errno : 0;
  int close_error = ::close(fd) != 0 ? errno : 0;
  if (close_error == EINTR) close_error = 0;  // It is closed all the same.
  if (sync_error != 0) return SystemError(path_, "cannot sync", sync_error);
  if (close_error != 0) return SystemError(path_, "cannot close", close_error);
  return {};
}

Status OutputFile::Commit() {
  std::string name;
  std::optional<Placement> placement;
  Status status = base::Guarded([&]() -> Status {
    QSTORE_TRY(Finish());
    name = path_.filename().string();
    placement.emplace(staging_.get(), path_);
    QSTORE_TRY(placement->Place(staged_name_, *directory_, name, options_.overwrite));
    return options_.sync ? SyncNames() : Status();
  });
  if (!status.ok() && placement) {
    status = placement->TakeBack(directory_->fd(), name, std::move(status));
  }
  staging_.reset();
  return status;
}

// A directory that was made has its own name in the one above.
Status OutputFile::SyncNames() const {
  QSTORE_TRY(directory_->Sync());
  fs::path above = directory_->path();
  for (size_t i = 0; i < created_.size(); ++i) {
    above = above.parent_path();
    QSTORE_ASSIGN(const Directory changed, Directory::Open(above));
    QSTORE_TRY(changed.Sync());
  }
  return {};
}

}  // namespace qstore::io
