// SPDX-License-Identifier: Apache-2.0
#include "io/growing_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kPause = std::chrono::milliseconds(20);

}  // namespace

Result<std::shared_ptr<GrowingFile>> GrowingFile::Open(const std::filesystem::path& path) {
  std::shared_ptr<GrowingFile> file(new GrowingFile(path));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    QSTORE_ASSIGN(const bool is_open, file->TryOpen());
    if (is_open) return file;
    if (std::chrono::steady_clock::now() >= end) {
      return IoError(path.string() + ": another process is changing it");
    }
    std::this_thread::sleep_for(kPause);
  }
}

// Returns: false while another writer has the lock.
Result<bool> GrowingFile::TryOpen() {
  // Without O_NONBLOCK a pipe would make the call wait for a reader.
  Descriptor opened(OpenAt(AT_FDCWD, path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!opened.ok()) {
    if (errno == EISDIR) return InvalidArgument(path_.string() + ": is a directory");
    return SystemError(path_, "cannot open for writing", errno);
  }
  struct stat status;
  if (::fstat(opened.get(), &status) != 0) return SystemError(path_, "cannot stat", errno);
  if (!S_ISREG(status.st_mode)) return InvalidArgument(path_.string() + ": is not a regular file");
  if (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return false;
    return SystemError(path_, "cannot be locked, which keeps two writers apart", errno);
  }
  // Whoever had the lock may have put another file in its place, or made it longer.
  struct stat named;
  if (::stat(path_.c_str(), &named) != 0 || ::fstat(opened.get(), &status) != 0) {
    return SystemError(path_, "cannot stat", errno);
  }
  if (named.st_dev != status.st_dev || named.st_ino != status.st_ino) return false;
  size_ = static_cast<uint64_t>(status.st_size);
  descriptor_ = std::move(opened);
  return true;
}

Status GrowingFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return InvalidArgument(path_.string() + ": read beyond its " + std::to_string(size_) +
                           " bytes");
  }
  QSTORE_ASSIGN(const size_t got, ReadAt(descriptor_.get(), path_, offset, out));
  if (got < out.size()) return SourceChanged(path_.string() + ": was cut short by another process");
  return {};
}

Status GrowingFile::Truncate(uint64_t size) {
  int failed = 0;
  do {
    failed = ::ftruncate(descriptor_.get(), static_cast<off_t>(size)) != 0 ? errno : 0;
  } while (failed == EINTR);
  if (failed != 0) {
    return SystemError(path_, "cannot be cut off at offset " + std::to_string(size), failed);
  }
  writer_ = FileWriter(path_);
  writer_.Attach(descriptor_.get(), size);
  return {};
}

Status GrowingFile::Overwrite(uint64_t offset, std::span<const std::byte> bytes) {
  FileWriter writer(path_);
  writer.Attach(descriptor_.get());
  return writer.WriteAt(offset, bytes);
}

Status GrowingFile::Sync() {
  int failed = 0;
  do {
    failed = ::fsync(descriptor_.get()) != 0 ? errno : 0;
  } while (failed == EINTR);
  return failed == 0 ? Status() : SystemError(path_, "cannot sync", failed);
}

}  // namespace qstore::io
