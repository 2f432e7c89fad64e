// SPDX-License-Identifier: Apache-2.0
#include "io/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

constexpr char kMarker[] = "writer";
constexpr char kUnfinishedMarker[] = "writer.new";
constexpr int kMostTries = 100;

// What a marker says, when it is not longer.
using Text = std::array<char, 128>;

// As much of a small file as fits.
std::string_view ReadSome(int fd, std::span<char> to) {
  const ssize_t got = ::pread(fd, to.data(), to.size(), 0);
  return {to.data(), got > 0 ? static_cast<size_t>(got) : 0};
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

// Empty when this run of the machine has no number. Needs no memory, as all that cleans up.
std::string_view MarkerText() {
  static const Text text = [] {
    constexpr std::string_view kBegin = "qstore writes here, boot ";
    constexpr size_t kLeast = 16;
    Text made{};
    const auto number = std::span(made).subspan(kBegin.size(), made.size() - kBegin.size() - 1);
    const Descriptor file(
        OpenAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    if (!file.ok() || ReadSome(file.get(), number).size() < kLeast) return Text{};
    std::copy(kBegin.begin(), kBegin.end(), made.begin());
    return made;
  }();
  return text.data();
}

bool IsTemporaryName(std::string_view name) {
  return name.size() > kTemporaryPrefix.size() + kTemporarySuffix.size() &&
         name.starts_with(kTemporaryPrefix) && name.ends_with(kTemporarySuffix);
}

// The marker of a leftover, locked by this call; none where there is any doubt.
Descriptor LockMarker(int leftover) {
  Descriptor marker(OpenAt(leftover, kMarker, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat opened;
  if (!marker.ok() || ::fstat(marker.get(), &opened) != 0) return Descriptor();
  if (!S_ISREG(opened.st_mode) || opened.st_uid != ::geteuid()) return Descriptor();
  if (::flock(marker.get(), LOCK_EX | LOCK_NB) != 0) return Descriptor();
  // Another process may have removed it between its opening and the lock.
  struct stat named;
  if (::fstatat(leftover, kMarker, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
    return Descriptor();
  }
  Text text;
  const bool is_ours = !MarkerText().empty() && ReadSome(marker.get(), text) == MarkerText();
  return is_ours ? std::move(marker) : Descriptor();
}

void RemoveLeftover(const Directory& parent, const std::string& name) {
  const Descriptor leftover = parent.Find(name);
  struct stat status;
  if (!leftover.ok() || ::fstat(leftover.get(), &status) != 0) return;
  if (status.st_uid != ::geteuid()) return;
  const Descriptor lock = LockMarker(leftover.get());
  if (!lock.ok() || RemoveContents(leftover.get(), kMarker) != 0) return;
  ::unlinkat(leftover.get(), kMarker, 0);
  ::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR);
}

}  // namespace

Result<std::unique_ptr<Staging>> Staging::Make(const Directory& parent, const fs::path& shown) {
  QSTORE_ASSIGN(Directory kept, parent.Below(""));
  // It is there before the directory is, which nobody would remove otherwise.
  std::unique_ptr<Staging> staging(new Staging(std::move(kept)));
  for (int i = 0; i < kMostTries; ++i) {
    QSTORE_ASSIGN(const bool is_made, staging->MakeOne(shown));
    if (!is_made) continue;
    if (const int failed = staging->Mark(); failed != 0) {
      return SystemError(shown, "cannot write", failed);
    }
    return staging;
  }
  return SystemError(shown, "cannot create", EEXIST);
}

Result<bool> Staging::MakeOne(const fs::path& shown) {
  name_ = RandomName();
  if (::mkdirat(parent_.fd(), name_.data(), 0700) != 0) {
    if (errno == EEXIST) return false;
    return SystemError(shown, "cannot create", errno);
  }
  is_made_ = true;
  auto made = parent_.Below(name_.data());
  NameReader names(made.ok() ? made->fd() : -1);
  if (names.Next() != nullptr) {
    // One that holds something is not the one just made: somebody has exchanged them.
    is_made_ = false;
    return false;
  }
  if (names.error() != 0) {
    return Status(made.ok() ? ErrorCode::kIo : made.status().code(),
                  shown.string() + ": cannot open what was made for it");
  }
  directory_.emplace(std::move(*made));
  return true;
}

Staging::~Staging() {
  if (is_made_) Remove();
}

void Staging::Remove() {
  if (directory_) {
    const int directory = directory_->fd();
    if (RemoveContents(directory, kMarker) != 0) {
      // It cannot be listed. What it may hold is known.
      for (uint64_t i = 0; i < names_; ++i) {
        ::unlinkat(directory, std::to_string(i).c_str(), 0);
      }
    }
    ::unlinkat(directory, kMarker, 0);
  }
  if (::unlinkat(parent_.fd(), name_.data(), AT_REMOVEDIR) == 0 || !lock_.ok()) return;
  // The next writer removes what is left, if a marker tells it to.
  lock_ = Descriptor();
  static_cast<void>(Mark());
}

int Staging::Mark() {
  const std::string_view text = MarkerText();
  if (text.empty()) return 0;
  const int directory = directory_->fd();
  Descriptor marker(OpenAt(directory, kUnfinishedMarker,
                           O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!marker.ok()) return errno;
  int failed = WriteAll(marker.get(), text);
  const bool locked = failed == 0 && ::flock(marker.get(), LOCK_EX | LOCK_NB) == 0;
  if (locked && ::renameat(directory, kUnfinishedMarker, directory, kMarker) != 0) failed = errno;
  if (locked && failed == 0) {
    lock_ = std::move(marker);
    return 0;
  }
  ::unlinkat(directory, kUnfinishedMarker, 0);
  return failed;
}

void Staging::Unmark() {
  if (!lock_.ok()) return;
  ::unlinkat(directory_->fd(), kMarker, 0);
  lock_ = Descriptor();
}

void Staging::Abandon() {
  Unmark();
  is_made_ = false;
}

void RemoveLeftovers(const Directory& directory) {
  const auto names = directory.List();
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (IsTemporaryName(name)) RemoveLeftover(directory, name);
  }
}

}  // namespace qstore::io
