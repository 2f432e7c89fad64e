// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <utility>

#include "base/status_macros.h"
#include "io/descriptor.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

std::string At(uint64_t offset) { return " at offset " + std::to_string(offset); }

}  // namespace

int OpenAt(int directory, const char* name, int flags, unsigned mode) {
  int fd = -1;
  do {
    fd = ::openat(directory, name, flags, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

Status SystemError(const std::filesystem::path& path, std::string_view action, int error) {
  std::string message =
      path.string() + ": " + std::string(action) + ": " + std::generic_category().message(error);
  const bool absent = error == ENOENT || error == ENOTDIR;
  return {absent ? ErrorCode::kNotFound : ErrorCode::kIo, std::move(message)};
}

Result<size_t> ReadAt(int fd, const std::filesystem::path& path, uint64_t offset,
                      std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "cannot read" + At(offset + done), errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Result<std::vector<std::string>> ListDirectory(const std::filesystem::path& path) {
  const auto close = [](DIR* open) { ::closedir(open); };
  std::unique_ptr<DIR, decltype(close)> directory(nullptr, close);
  do {
    directory.reset(::opendir(path.c_str()));
  } while (directory == nullptr && errno == EINTR);
  if (directory == nullptr) return SystemError(path, "cannot list", errno);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno == EINTR) continue;
    if (entry == nullptr && errno != 0) return SystemError(path, "cannot list", errno);
    if (entry == nullptr) return names;
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

struct SourceFile::Identity {
  explicit Identity(const struct stat& s)
      : device(s.st_dev),
        inode(s.st_ino),
        size(s.st_size),
        modified(s.st_mtim),
        changed(s.st_ctim) {}
  bool operator==(const Identity& o) const {
    return device == o.device && inode == o.inode && size == o.size &&
           modified.tv_sec == o.modified.tv_sec && modified.tv_nsec == o.modified.tv_nsec &&
           changed.tv_sec == o.changed.tv_sec && changed.tv_nsec == o.changed.tv_nsec;
  }
  dev_t device;
  ino_t inode;
  off_t size;
  timespec modified;
  timespec changed;
};

/// The descriptors of files opened on demand that were used last.
class SourceFile::FewOpen {
 public:
  static FewOpen& Instance() {
    static auto& instance = *new FewOpen();  // Outlives every SourceFile.
    return instance;
  }

  std::shared_ptr<const Descriptor> Find(const SourceFile* file) {
    const std::lock_guard lock(mutex_);
    const auto entry = At(file);
    if (entry == entries_.end()) return nullptr;
    std::rotate(entries_.begin(), entry, entry + 1);
    return entries_.front().second;
  }

  void Insert(const SourceFile* file, std::shared_ptr<const Descriptor> descriptor) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() == kMost) entries_.pop_back();
    entries_.emplace(entries_.begin(), file, std::move(descriptor));
  }

  void Forget(const SourceFile* file) {
    const std::lock_guard lock(mutex_);
    for (auto entry = At(file); entry != entries_.end(); entry = At(file)) entries_.erase(entry);
  }

 private:
  using Entry = std::pair<const SourceFile*, std::shared_ptr<const Descriptor>>;
  // The least limit on descriptors in use is 64; every thread may hold one more.
  static constexpr size_t kMost = 16;

  std::vector<Entry>::iterator At(const SourceFile* file) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [file](const Entry& entry) { return entry.first == file; });
  }

  std::mutex mutex_;
  std::vector<Entry> entries_;  // The one used last comes first.
};

Result<std::shared_ptr<const Descriptor>> SourceFile::OpenNow() {
  // Without O_NONBLOCK a pipe would make the call wait for a writer.
  Descriptor opened(OpenAt(AT_FDCWD, path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened.ok()) return SystemError(path_, "cannot open for reading", errno);
  auto descriptor = std::make_shared<const Descriptor>(std::move(opened));
  struct stat status;
  if (::fstat(descriptor->get(), &status) != 0) return SystemError(path_, "cannot stat", errno);
  if (S_ISDIR(status.st_mode)) return InvalidArgument(path_.string() + ": is a directory");
  if (!S_ISREG(status.st_mode)) return InvalidArgument(path_.string() + ": is not a regular file");
  size_ = static_cast<uint64_t>(status.st_size);
  identity_ = std::make_unique<Identity>(status);
  return descriptor;
}

Result<std::shared_ptr<const SourceFile>> SourceFile::Open(const std::filesystem::path& path) {
  std::shared_ptr<SourceFile> file(new SourceFile());
  file->path_ = path;
  QSTORE_ASSIGN(file->descriptor_, file->OpenNow());
  return std::shared_ptr<const SourceFile>(std::move(file));
}

Result<std::shared_ptr<const SourceFile>> SourceFile::OpenOnDemand(
    const std::filesystem::path& path) {
  std::shared_ptr<SourceFile> file(new SourceFile());
  file->path_ = path;
  QSTORE_ASSIGN(auto descriptor, file->OpenNow());
  FewOpen::Instance().Insert(file.get(), std::move(descriptor));
  file->is_on_demand_ = true;
  return std::shared_ptr<const SourceFile>(std::move(file));
}

Result<std::shared_ptr<const Descriptor>> SourceFile::Reopen() const {
  if (auto open = FewOpen::Instance().Find(this)) return open;
  SourceFile again;
  again.path_ = path_;
  auto descriptor = again.OpenNow();
  if (!descriptor.ok() && descriptor.status().code() == ErrorCode::kIo) return descriptor;
  if (!descriptor.ok() || *again.identity_ != *identity_) {
    return SourceChanged(path_.string() + ": changed while it was read");
  }
  FewOpen::Instance().Insert(this, *descriptor);
  return descriptor;
}

SourceFile::~SourceFile() {
  if (is_on_demand_) FewOpen::Instance().Forget(this);
}

Status SourceFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return InvalidArgument(path_.string() + ": read of " + std::to_string(out.size()) + " bytes" +
                           At(offset) + " of a file of " + std::to_string(size_));
  }
  auto descriptor = descriptor_;
  if (descriptor == nullptr) {
    QSTORE_ASSIGN(descriptor, Reopen());
  }
  QSTORE_ASSIGN(const size_t got, ReadAt(descriptor->get(), path_, offset, out));
  if (got < out.size()) {
    return SourceChanged(path_.string() + ": ends" + At(offset + got) + ", but had " +
                         std::to_string(size_) + " bytes when it was opened");
  }
  return {};
}

Status SourceFile::CheckUnchanged() const {
  struct stat status;
  if (::stat(path_.c_str(), &status) != 0) {
    return SourceChanged(path_.string() + ": was removed while it was read");
  }
  if (Identity(status) == *identity_) return {};
  return SourceChanged(path_.string() + ": changed while it was read");
}

std::string SourceFile::identity() const {
  return std::to_string(size_) + " " + std::to_string(identity_->modified.tv_sec) + "." +
         std::to_string(identity_->modified.tv_nsec);
}

Result<std::string> ReadSmallFile(const std::filesystem::path& path, uint64_t max_bytes) {
  QSTORE_ASSIGN(auto file, SourceFile::Open(path));
  if (file->size() > max_bytes) {
    return LimitExceeded(path.string() + ": has " + std::to_string(file->size()) +
                         " bytes, more than the limit of " + std::to_string(max_bytes));
  }
  std::string text(static_cast<size_t>(file->size()), '\0');
  QSTORE_TRY(file->Read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace qstore::io
