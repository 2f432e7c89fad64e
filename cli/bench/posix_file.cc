// SPDX-License-Identifier: Apache-2.0
#include "posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace qstore::cli {
namespace {

int Open(const std::filesystem::path& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

}  // namespace

Status SystemError(const std::filesystem::path& path, std::string_view action) {
  const int error = errno;
  return IoError(path.string() + ": " + std::string(action) + ": " +
                 std::generic_category().message(error));
}

Result<std::unique_ptr<PosixFile>> PosixFile::OpenRead(const std::filesystem::path& path) {
  const int fd = Open(path, O_RDONLY);
  if (fd < 0) return SystemError(path, "cannot open for reading");
  std::unique_ptr<PosixFile> file(new PosixFile(path, fd));
  struct stat status;
  if (::fstat(fd, &status) != 0) return SystemError(path, "cannot stat");
  file->size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

Result<std::unique_ptr<PosixFile>> PosixFile::Create(const std::filesystem::path& path) {
  const int fd = Open(path, O_RDWR | O_CREAT | O_TRUNC);
  if (fd < 0) return SystemError(path, "cannot create");
  return std::unique_ptr<PosixFile>(new PosixFile(path, fd));
}

PosixFile::~PosixFile() { ::close(fd_); }

Status PosixFile::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path_, "cannot read");
    if (got == 0) return IoError(path_.string() + ": ends at " + std::to_string(offset));
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

Status PosixFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return SystemError(path_, "cannot write");
    if (put == 0) return IoError(path_.string() + ": takes nothing at " + std::to_string(offset));
    offset += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<std::vector<std::filesystem::path>> FilesBelow(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  std::error_code error;
  if (fs::is_regular_file(root, error)) {
    files.push_back(root);
    return files;
  }
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) files.push_back(entry->path());
  }
  if (error) return IoError(root.string() + ": " + error.message());
  if (files.empty()) return NotFound(root.string() + ": holds no file");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace qstore::cli
