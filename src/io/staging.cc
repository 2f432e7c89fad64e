// SPDX-License-Identifier: Apache-2.0
#include "io/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "io/posix_error.h"
#include "io/random_name.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

constexpr char kMarker[] = "writer";
constexpr char kUnfinishedMarker[] = "writer.new";
constexpr int kMostTries = 100;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// As much of a small file as fits.
std::string ReadSome(int fd) {
  std::array<char, 256> bytes{};
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  return {bytes.data(), got > 0 ? static_cast<size_t>(got) : 0};
}

// Returns: 0, or what failed.
int WriteAll(int fd, std::string_view text) {
  off_t at = 0;
  while (!text.empty()) {
    const ssize_t put = ::pwrite(fd, text.data(), text.size(), at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : EIO;
    text.remove_prefix(static_cast<size_t>(put));
    at += put;
  }
  return 0;
}

// Empty when this run of the machine has no number.
const std::string& MarkerText() {
  static const std::string text = [] {
    const Descriptor file(
        OpenAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    const std::string boot = file.get() < 0 ? std::string() : ReadSome(file.get());
    return boot.size() < 16 ? std::string() : "qstore writes here, boot " + boot;
  }();
  return text;
}

bool IsTemporaryName(std::string_view name) {
  return name.size() > kTemporaryPrefix.size() + kTemporarySuffix.size() &&
         name.starts_with(kTemporaryPrefix) && name.ends_with(kTemporarySuffix);
}

// The marker of a leftover, locked by this call; none where there is any doubt.
std::optional<int> LockMarker(const Directory& leftover) {
  Descriptor marker(OpenAt(leftover.fd(), kMarker, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat opened;
  if (marker.get() < 0 || ::fstat(marker.get(), &opened) != 0) return std::nullopt;
  if (!S_ISREG(opened.st_mode) || opened.st_uid != ::geteuid()) return std::nullopt;
  if (::flock(marker.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  // Another process may have removed it between its opening and the lock.
  struct stat named;
  if (::fstatat(leftover.fd(), kMarker, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
    return std::nullopt;
  }
  if (MarkerText().empty() || ReadSome(marker.get()) != MarkerText()) return std::nullopt;
  return marker.Release();
}

void RemoveLeftover(const Directory& parent, const std::string& name) {
  const auto leftover = parent.Below(name);
  struct stat status;
  if (!leftover.ok() || ::fstat(leftover->fd(), &status) != 0) return;
  if (status.st_uid != ::geteuid()) return;
  const auto lock = LockMarker(*leftover);
  if (!lock) return;
  const Descriptor held(*lock);
  if (!RemoveContents(*leftover, kMarker)) return;
  ::unlinkat(leftover->fd(), kMarker, 0);
  ::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR);
}

}  // namespace

Result<std::unique_ptr<Staging>> Staging::Make(const Directory& parent, const fs::path& shown) {
  QSTORE_ASSIGN(Directory kept, parent.Below(""));
  for (int i = 0; i < kMostTries; ++i) {
    std::string name = RandomName();
    if (::mkdirat(parent.fd(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return SystemError(shown, "cannot create", errno);
    }
    auto directory = parent.Below(name);
    const auto names = directory.ok() ? directory->List() : directory.status();
    if (!names.ok()) {
      ::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR);
      return Status(names.status().code(), shown.string() + ": cannot open what was made for it");
    }
    // One that holds something is not the one just made: somebody has exchanged them.
    if (!names->empty()) continue;
    std::unique_ptr<Staging> staging(
        new Staging(std::move(kept), std::move(name), std::move(*directory), shown));
    QSTORE_TRY(staging->Mark());
    return staging;
  }
  return SystemError(shown, "cannot create", EEXIST);
}

Staging::~Staging() {
  if (!abandoned_) Remove();
  if (lock_ >= 0) ::close(lock_);
}

void Staging::Remove() {
  if (!RemoveContents(directory_, kMarker)) {
    // It cannot be listed. What it may hold is known.
    for (uint64_t i = 0; i < names_; ++i) {
      ::unlinkat(directory_.fd(), std::to_string(i).c_str(), 0);
    }
  }
  ::unlinkat(directory_.fd(), kMarker, 0);
  if (::unlinkat(parent_.fd(), name_.c_str(), AT_REMOVEDIR) == 0 || lock_ < 0) return;
  // The next writer removes what is left, if a marker tells it to.
  ::close(std::exchange(lock_, -1));
  static_cast<void>(Mark());
}

Status Staging::Mark() {
  const std::string& text = MarkerText();
  if (text.empty()) return {};
  Descriptor marker(OpenAt(directory_.fd(), kUnfinishedMarker,
                           O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (marker.get() < 0) return SystemError(shown_, "cannot create", errno);
  int failed = WriteAll(marker.get(), text);
  const bool locked = failed == 0 && ::flock(marker.get(), LOCK_EX | LOCK_NB) == 0;
  if (locked && ::renameat(directory_.fd(), kUnfinishedMarker, directory_.fd(), kMarker) != 0) {
    failed = errno;
  }
  if (locked && failed == 0) {
    lock_ = marker.Release();
    return {};
  }
  ::unlinkat(directory_.fd(), kUnfinishedMarker, 0);
  return failed == 0 ? Status() : SystemError(shown_, "cannot write", failed);
}

void Staging::Unmark() {
  if (lock_ < 0) return;
  ::unlinkat(directory_.fd(), kMarker, 0);
  ::close(std::exchange(lock_, -1));
}

void Staging::Abandon() {
  Unmark();
  abandoned_ = true;
}

void RemoveLeftovers(const Directory& directory) {
  const auto names = directory.List();
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (IsTemporaryName(name)) RemoveLeftover(directory, name);
  }
}

}  // namespace qstore::io
