// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "base/status_macros.h"
#include "io/file.h"
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
      // An expired entry belongs to a holder that waits for the lock to remove the directory.
      const bool known = entries_.count(built) != 0;
      const int failed = ::mkdir(built.c_str(), 0777) != 0 ? errno : 0;
      std::error_code ignored;
      if (failed != 0 && !fs::is_directory(built, ignored)) {
        return SystemError(built, "cannot create directory", failed);
      }
      if (failed != 0 && !known) continue;
      held->push_back(Hold(built));
    }
    return {};
  }

 private:
  struct Holder {
    CreatedDirectories* owner;
    fs::path path;
    Holder(CreatedDirectories* o, fs::path p) : owner(o), path(std::move(p)) {}
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { owner->Release(path); }
  };

  std::shared_ptr<const void> Hold(const fs::path& path) {
    std::weak_ptr<const Holder>& entry = entries_[path];
    auto holder = entry.lock();
    if (!holder) entry = holder = std::make_shared<const Holder>(this, path);
    return holder;
  }

  void Release(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(path);
    if (entry == entries_.end() || !entry->second.expired()) return;
    entries_.erase(entry);
    ::rmdir(path.c_str());
  }

  std::mutex mutex_;
  std::map<fs::path, std::weak_ptr<const Holder>> entries_;
};

// Renames and fails when `to` exists, in one step where the system can.
int RenameNoReplace(const fs::path& from, const fs::path& to) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
  if (::faccessat(AT_FDCWD, to.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return ::rename(from.c_str(), to.c_str());
}

// False when the system or the file system cannot do that.
bool Exchange(const fs::path& a, const fs::path& b) {
#ifdef RENAME_EXCHANGE
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
  return static_cast<void>(a), static_cast<void>(b), false;
#endif
}

Status CheckTarget(const fs::path& path, const fs::path& shown, bool overwrite) {
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(path, ignored);
  if (!fs::exists(status)) return {};
  if (fs::is_directory(path, ignored)) return InvalidArgument(shown.string() + ": is a directory");
  if (!overwrite) return AlreadyExists(shown.string() + ": exists already");
  return {};
}

}  // namespace

std::string TemporaryName() {
  static std::atomic<uint64_t> counter{0};
  return ".qstore-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
}

Status SyncDirectory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError(directory, "cannot open directory", errno);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  // Some file systems cannot sync a directory; the rename itself has happened.
  if (failed != 0 && failed != EINVAL) return SystemError(directory, "cannot sync", failed);
  return {};
}

Result<std::unique_ptr<OutputFile>> OutputFile::Create(const fs::path& path, const Options& options,
                                                       const fs::path& shown) {
  if (!path.has_filename()) return InvalidArgument(path.string() + ": names no file");
  QSTORE_TRY(CheckTarget(path, shown.empty() ? path : shown, options.overwrite));
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error) return SystemError(path, "cannot resolve", error.value());

  std::unique_ptr<OutputFile> file(new OutputFile());
  file->path_ = shown.empty() ? path : shown;
  file->options_ = options;
  QSTORE_TRY(CreatedDirectories::Instance().Ensure(absolute.parent_path(), &file->directories_));
  do {
    file->temporary_ = absolute.parent_path() / TemporaryName();
    file->fd_ = ::open(file->temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file->fd_ < 0 && errno == EEXIST);
  if (file->fd_ < 0) return SystemError(file->path_, "cannot create", errno);
  return file;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (state_ == State::kTemporary) ::unlink(temporary_.c_str());
  if (state_ == State::kPlaced) ::unlink(Target().c_str());
  if (state_ == State::kExchanged) ::rename(temporary_.c_str(), Target().c_str());
  while (!directories_.empty()) directories_.pop_back();
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

Status OutputFile::Finish() {
  if (fd_ < 0) return {};
  QSTORE_TRY(WriteOne(size_ - tail_.size(), tail_));
  tail_ = {};
  const int sync_error = options_.sync && ::fsync(fd_) != 0 ? errno : 0;
  const int close_error = ::close(std::exchange(fd_, -1)) != 0 ? errno : 0;
  if (sync_error != 0) return SystemError(path_, "cannot sync", sync_error);
  if (close_error != 0) return SystemError(path_, "cannot close", close_error);
  return {};
}

Status OutputFile::RenameError(int error) const {
  if (error == EEXIST) return AlreadyExists(path_.string() + ": appeared meanwhile");
  return SystemError(path_, "cannot rename the finished file to this name", error);
}

Status OutputFile::Commit() {
  QSTORE_TRY(Finish());
  const fs::path target = Target();
  const int failed = options_.overwrite ? ::rename(temporary_.c_str(), target.c_str())
                                        : RenameNoReplace(temporary_, target);
  if (failed != 0) return RenameError(errno);
  state_ = State::kFinal;
  if (!options_.sync) return {};
  for (const fs::path& directory : ChangedDirectories()) QSTORE_TRY(SyncDirectory(directory));
  return {};
}

Status OutputFile::Place() {
  QSTORE_TRY(Finish());
  const fs::path target = Target();
  if (RenameNoReplace(temporary_, target) == 0) {
    state_ = State::kPlaced;
    return {};
  }
  if (errno != EEXIST || !options_.overwrite) return RenameError(errno);
  // An exchange takes the name even from a directory.
  QSTORE_TRY(CheckTarget(target, path_, true));
  if (Exchange(temporary_, target)) {
    state_ = State::kExchanged;
    return {};
  }
  if (::rename(temporary_.c_str(), target.c_str()) != 0) return RenameError(errno);
  state_ = State::kFinal;
  return {};
}

void OutputFile::Keep() {
  if (state_ == State::kExchanged) ::unlink(temporary_.c_str());
  state_ = State::kFinal;
}

std::vector<fs::path> OutputFile::ChangedDirectories() const {
  std::vector<fs::path> changed = {temporary_.parent_path()};
  for (size_t i = 0; i < directories_.size(); ++i) changed.push_back(changed.back().parent_path());
  return changed;
}

}  // namespace qstore::io
