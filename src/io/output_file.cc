// SPDX-License-Identifier: Apache-2.0
#include "io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
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

// What is appended is written in whole blocks, so that each write begins at one.
constexpr uint64_t kBlock = 1 << 16;

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
    : path_(std::move(path)), options_(options) {}

Status OutputFile::OpenStaged(const std::shared_ptr<Staging>& staging) {
  staging_ = staging;
  staged_name_ = staging->NewName();
  fd_ = OpenAt(staging->directory().fd(), staged_name_.c_str(),
               O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return fd_ < 0 ? SystemError(path_, "cannot create", errno) : Status();
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  staging_.reset();
  while (!created_.empty()) created_.pop_back();
}

Status OutputFile::Append(std::span<const std::byte> bytes) { return AppendAll({&bytes, 1}); }

// The page cache holds what one write brings in blocks as large as the place of its first page
// allows, and large blocks are read faster: a load from writes that begin within pages takes an
// eighth longer, from those that begin at any page a fortieth.
Status OutputFile::AppendAll(std::span<const std::span<const std::byte>> pieces) {
  if (fd_ < 0) return InternalError(path_.string() + ": written after it was finished");
  const uint64_t begin = size_ - tail_.size();
  uint64_t end = size_;
  for (const auto& piece : pieces) end += piece.size();
  const uint64_t last_block = end / kBlock * kBlock;
  std::vector<iovec> now;
  std::vector<std::byte> later;
  if (last_block > begin) {
    if (!tail_.empty()) now.push_back({tail_.data(), tail_.size()});
  } else {
    later = std::move(tail_);
  }
  uint64_t at = size_;
  for (const auto& piece : pieces) {
    const size_t before = std::min<uint64_t>(last_block - std::min(last_block, at), piece.size());
    if (before > 0) now.push_back({const_cast<std::byte*>(piece.data()), before});
    later.insert(later.end(), piece.begin() + static_cast<ptrdiff_t>(before), piece.end());
    at += piece.size();
  }
  QSTORE_TRY(WriteVectors(begin, now));
  tail_ = std::move(later);
  size_ = end;
  return {};
}

// None of them is empty.
Status OutputFile::WriteVectors(uint64_t offset, std::span<iovec> vectors) {
  constexpr size_t kMostVectors = 256;
  while (!vectors.empty()) {
    const size_t count = std::min(vectors.size(), kMostVectors);
    const ssize_t put =
        ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      return SystemError(path_, "cannot write at offset " + std::to_string(offset), errno);
    }
    if (put == 0) {
      return IoError(path_.string() + ": cannot write at offset " + std::to_string(offset) +
                     ": the system takes no byte");
    }
    offset += static_cast<uint64_t>(put);
    auto left = static_cast<size_t>(put);
    while (left > 0 && left >= vectors.front().iov_len) {
      left -= vectors.front().iov_len;
      vectors = vectors.subspan(1);
    }
    if (left > 0) {
      vectors.front().iov_base = static_cast<std::byte*>(vectors.front().iov_base) + left;
      vectors.front().iov_len -= left;
    }
  }
  return {};
}

Status OutputFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  if (fd_ < 0) return InternalError(path_.string() + ": written after it was finished");
  if (offset < size_) return InternalError(path_.string() + ": written where bytes were appended");
  return WriteOne(offset, bytes);
}

Status OutputFile::WriteOne(uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  iovec vector = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  return WriteVectors(offset, {&vector, 1});
}

Status OutputFile::MakeExecutable() {
  struct stat status;
  if (::fstat(fd_, &status) != 0) return SystemError(path_, "cannot stat", errno);
  const mode_t mode = status.st_mode & 07777;
  if (::fchmod(fd_, mode | (mode & 0444) >> 2) == 0) return {};
  return SystemError(path_, "cannot make executable", errno);
}

Status OutputFile::Finish() {
  if (fd_ < 0) return {};
  QSTORE_TRY(WriteOne(size_ - tail_.size(), tail_));
  tail_ = {};
  const int sync_error = options_.sync && ::fsync(fd_) != 0 ? errno : 0;
  int close_error = ::close(std::exchange(fd_, -1)) != 0 ? errno : 0;
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
