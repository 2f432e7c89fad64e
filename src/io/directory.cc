// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/status_macros.h"
#include "io/posix_error.h"
#include "io/random_name.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

// Names in a directory can be used by those who may not list it.
constexpr int kOpen = O_PATH | O_DIRECTORY | O_CLOEXEC;

// At each '/'. Nothing of nothing.
std::vector<std::string> Split(std::string_view relative) {
  std::vector<std::string> names;
  while (!relative.empty() || !names.empty()) {
    const size_t slash = relative.find('/');
    names.emplace_back(relative.substr(0, slash));
    if (slash == std::string_view::npos) break;
    relative.remove_prefix(slash + 1);
  }
  return names;
}

// A directory among them is emptied upwards: what it holds moves to `top`, where its turn comes.
bool RemoveOne(const Directory& top, const std::string& name) {
  if (::unlinkat(top.fd(), name.c_str(), 0) == 0) return true;
  if (::unlinkat(top.fd(), name.c_str(), AT_REMOVEDIR) == 0) return true;
  const auto below = top.Below(name);
  if (!below.ok()) return false;
  const auto names = below->List();
  if (!names.ok()) return false;
  for (const std::string& inner : *names) {
    if (::unlinkat(below->fd(), inner.c_str(), 0) == 0) continue;
    if (RenameNoReplace(*below, inner, top, RandomName()) != 0) return false;
  }
  return ::unlinkat(top.fd(), name.c_str(), AT_REMOVEDIR) == 0;
}

}  // namespace

Directory::Directory(Directory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Directory::~Directory() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Directory> Directory::Open(const fs::path& path) {
  const int fd = OpenAt(AT_FDCWD, path.c_str(), kOpen);
  if (fd < 0) return SystemError(path, "cannot open directory", errno);
  return Directory(fd, path);
}

Result<Directory> Directory::Copy() const {
  const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return SystemError(path_, "cannot open directory", errno);
  return Directory(fd, path_);
}

// All of them at once, so that nothing is made on the way to a name that cannot be.
Status Directory::CheckNames(std::string_view relative) const {
  for (const std::string& name : Split(relative)) {
    if (name.empty() || name == "." || name == "..") {
      return InvalidArgument((path_ / relative).string() + ": leads out of the output");
    }
  }
  return {};
}

Result<Directory> Directory::Child(const std::string& name) const {
  fs::path path = path_ / name;
  const int fd = OpenAt(fd_, name.c_str(), kOpen | O_NOFOLLOW);
  if (fd >= 0) return Directory(fd, std::move(path));
  if (errno != ENOTDIR && errno != ELOOP) return SystemError(path, "cannot open directory", errno);
  struct stat status;
  const bool is_link =
      ::fstatat(fd_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
  return InvalidArgument(path.string() +
                         (is_link ? ": is a symbolic link, which may lead out of the output"
                                  : ": is not a directory"));
}

Result<Directory> Directory::ChildOrNew(const std::string& name, bool* made) const {
  auto child = Child(name);
  if (child.ok() || child.status().code() != ErrorCode::kNotFound) return child;
  *made = ::mkdirat(fd_, name.c_str(), 0777) == 0;
  if (!*made && errno != EEXIST) {
    return SystemError(path_ / name, "cannot create directory", errno);
  }
  return Child(name);
}

Result<Directory> Directory::Below(std::string_view relative) const {
  QSTORE_TRY(CheckNames(relative));
  QSTORE_ASSIGN(Directory at, Copy());
  for (const std::string& name : Split(relative)) {
    QSTORE_ASSIGN(at, at.Child(name));
  }
  return at;
}

Result<Directory> Directory::MakeBelow(std::string_view relative,
                                       std::vector<std::string>* made) const {
  QSTORE_TRY(CheckNames(relative));
  QSTORE_ASSIGN(Directory at, Copy());
  std::string path;
  for (const std::string& name : Split(relative)) {
    path += (path.empty() ? "" : "/") + name;
    bool is_new = false;
    auto child = at.ChildOrNew(name, &is_new);
    if (is_new) made->push_back(path);
    QSTORE_ASSIGN(at, std::move(child));
  }
  return at;
}

Result<std::vector<std::string>> Directory::List() const {
  const int fd = OpenAt(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    const int failed = errno;
    if (fd >= 0) ::close(fd);
    return SystemError(path_, "cannot list", failed);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int failed = errno;
  ::closedir(stream);
  if (failed != 0) return SystemError(path_, "cannot list", failed);
  return names;
}

Status Directory::Sync() const {
  const int fd = OpenAt(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError(path_, "cannot open directory", errno);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  // Some file systems cannot sync a directory; the rename itself has happened.
  if (failed != 0 && failed != EINVAL) return SystemError(path_, "cannot sync", failed);
  return {};
}

int RenameNoReplace(const Directory& from, const std::string& old_name, const Directory& to,
                    const std::string& new_name) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(from.fd(), old_name.c_str(), to.fd(), new_name.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
  struct stat status;
  if (::fstatat(to.fd(), new_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return ::renameat(from.fd(), old_name.c_str(), to.fd(), new_name.c_str());
}

bool ExchangeNames(const Directory& a, const std::string& name_a, const Directory& b,
                   const std::string& name_b) {
#ifdef RENAME_EXCHANGE
  return ::renameat2(a.fd(), name_a.c_str(), b.fd(), name_b.c_str(), RENAME_EXCHANGE) == 0;
#else
  return static_cast<void>(a), static_cast<void>(name_a), static_cast<void>(b),
         static_cast<void>(name_b), false;
#endif
}

bool RemoveContents(const Directory& directory, std::string_view kept) {
  for (;;) {
    auto names = directory.List();
    if (!names.ok()) return false;
    names->erase(std::remove(names->begin(), names->end(), kept), names->end());
    if (names->empty()) return true;
    const auto removed = std::count_if(names->begin(), names->end(), [&](const std::string& name) {
      return RemoveOne(directory, name);
    });
    if (removed == 0) return false;
  }
}

}  // namespace qstore::io
