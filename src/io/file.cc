// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <system_error>

#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

std::string At(uint64_t offset) { return " at offset " + std::to_string(offset); }

}  // namespace

Status SystemError(const std::filesystem::path& path, std::string_view action, int error) {
  std::string message =
      path.string() + ": " + std::string(action) + ": " + std::generic_category().message(error);
  const bool absent = error == ENOENT || error == ENOTDIR;
  return {absent ? ErrorCode::kNotFound : ErrorCode::kIo, std::move(message)};
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

Result<std::shared_ptr<const SourceFile>> SourceFile::Open(const std::filesystem::path& path) {
  std::shared_ptr<SourceFile> file(new SourceFile());
  file->path_ = path;
  // Without O_NONBLOCK a pipe would make the call wait for a writer.
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd_ < 0) return SystemError(path, "cannot open for reading", errno);
  struct stat status;
  if (::fstat(file->fd_, &status) != 0) return SystemError(path, "cannot stat", errno);
  if (S_ISDIR(status.st_mode)) return InvalidArgument(path.string() + ": is a directory");
  if (!S_ISREG(status.st_mode)) return InvalidArgument(path.string() + ": is not a regular file");
  file->size_ = static_cast<uint64_t>(status.st_size);
  file->identity_ = std::make_unique<Identity>(status);
  return std::shared_ptr<const SourceFile>(std::move(file));
}

SourceFile::~SourceFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status SourceFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return InvalidArgument(path_.string() + ": read of " + std::to_string(out.size()) + " bytes" +
                           At(offset) + " of a file of " + std::to_string(size_));
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return SystemError(path_, "cannot read" + At(offset), errno);
    }
    if (got == 0) {
      return SourceChanged(path_.string() + ": ends" + At(offset) + ", but had " +
                           std::to_string(size_) + " bytes when it was opened");
    }
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
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
