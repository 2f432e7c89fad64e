// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
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

// Whether that leads from one directory into another, or to nothing.
bool IsPlainName(std::string_view name) { return !name.empty() && name != "." && name != ".."; }

// A file, a link or an empty directory. Returns: 0 or errno.
int RemoveName(int directory, const char* name) {
  if (::unlinkat(directory, name, 0) == 0) return 0;
  const int failed = errno;
  if (::unlinkat(directory, name, AT_REMOVEDIR) == 0) return 0;
  return errno == ENOTDIR ? failed : errno;
}

// Something of what has that name. A directory is emptied upwards: what it holds moves to `top`,
// where its turn comes. Returns: 0, or what failed when nothing was done.
int RemoveSome(int top, const char* name) {
  int failed = RemoveName(top, name);
  if (failed == 0) return 0;
  const Descriptor below(OpenAt(top, name, kOpen | O_NOFOLLOW));
  if (!below.ok()) return errno == ENOTDIR ? failed : errno;
  NameReader names(below.get());
  bool is_done = false;
  while (const char* inner = names.Next()) {
    if (::unlinkat(below.get(), inner, 0) == 0 ||
        RenameNoReplace(below.get(), inner, top, RandomName().data()) == 0) {
      is_done = true;
    } else {
      failed = errno;
    }
  }
  if (names.error() != 0) failed = names.error();
  return ::unlinkat(top, name, AT_REMOVEDIR) == 0 || is_done ? 0 : failed;
}

}  // namespace

Result<Directory> Directory::Open(const fs::path& path) {
  Descriptor fd(OpenAt(AT_FDCWD, path.c_str(), kOpen));
  if (!fd.ok()) return SystemError(path, "cannot open directory", errno);
  return Directory(std::move(fd), path);
}

Result<Directory> Directory::Copy() const {
  Descriptor fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd.ok()) return SystemError(path_, "cannot open directory", errno);
  return Directory(std::move(fd), path_);
}

// All of them at once, so that nothing is made on the way to a name that cannot be.
Status Directory::CheckNames(std::string_view relative) const {
  for (const std::string& name : Split(relative)) {
    if (!IsPlainName(name)) {
      return InvalidArgument((path_ / relative).string() + ": leads out of the output");
    }
  }
  return {};
}

Result<Directory> Directory::Child(const std::string& name) const {
  fs::path path = path_ / name;
  Descriptor fd(OpenAt(fd_.get(), name.c_str(), kOpen | O_NOFOLLOW));
  if (fd.ok()) return Directory(std::move(fd), std::move(path));
  if (errno != ENOTDIR && errno != ELOOP) return SystemError(path, "cannot open directory", errno);
  struct stat status;
  const bool is_link = ::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISLNK(status.st_mode);
  return InvalidArgument(path.string() +
                         (is_link ? ": is a symbolic link, which may lead out of the output"
                                  : ": is not a directory"));
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
    auto child = at.Child(name);
    if (!child.ok() && child.status().code() == ErrorCode::kNotFound) {
      made->push_back(path);
      if (::mkdirat(at.fd(), name.c_str(), 0777) != 0) {
        const int failed = errno;
        made->pop_back();
        if (failed != EEXIST)
          return SystemError(at.path_ / name, "cannot create directory", failed);
      }
      child = at.Child(name);
    }
    QSTORE_ASSIGN(at, std::move(child));
  }
  return at;
}

Descriptor Directory::Find(std::string_view relative) const {
  Descriptor at(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  while (at.ok() && !relative.empty()) {
    const std::string_view name = relative.substr(0, relative.find('/'));
    std::array<char, NAME_MAX + 1> text{};
    if (!IsPlainName(name) || name.size() >= text.size()) {
      errno = EINVAL;
      return Descriptor();
    }
    std::copy(name.begin(), name.end(), text.begin());
    at = Descriptor(OpenAt(at.get(), text.data(), kOpen | O_NOFOLLOW));
    relative.remove_prefix(std::min(relative.size(), name.size() + 1));
  }
  return at;
}

Result<std::vector<std::string>> Directory::List() const {
  std::vector<std::string> names;
  NameReader reader(fd_.get());
  while (const char* name = reader.Next()) names.emplace_back(name);
  if (reader.error() != 0) return SystemError(path_, "cannot list", reader.error());
  return names;
}

Status Directory::Sync() const {
  const Descriptor fd(OpenAt(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return SystemError(path_, "cannot open directory", errno);
  // Some file systems cannot sync a directory; the rename itself has happened.
  if (::fsync(fd.get()) == 0 || errno == EINVAL) return {};
  return SystemError(path_, "cannot sync", errno);
}

NameReader::NameReader(int directory)
    : fd_(OpenAt(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (!fd_.ok()) error_ = errno;
}

// Readers of the C library take memory.
const char* NameReader::Next() {
  while (error_ == 0) {
    if (at_ == size_) {
      const ssize_t got = ::getdents64(fd_.get(), entries_.data(), entries_.size());
      if (got < 0) error_ = errno;
      if (got <= 0) return nullptr;
      at_ = 0;
      size_ = static_cast<size_t>(got);
    }
    const auto* entry = reinterpret_cast<const dirent64*>(entries_.data() + at_);
    at_ += entry->d_reclen;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry->d_name;
  }
  return nullptr;
}

int RenameNoReplace(int from, const char* old_name, int to, const char* new_name) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(from, old_name, to, new_name, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
  struct stat status;
  if (::fstatat(to, new_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return ::renameat(from, old_name, to, new_name);
}

bool ExchangeNames(int directory_a, const char* a, int directory_b, const char* b) {
#ifdef RENAME_EXCHANGE
  return ::renameat2(directory_a, a, directory_b, b, RENAME_EXCHANGE) == 0;
#else
  return static_cast<void>(directory_a), static_cast<void>(a), static_cast<void>(directory_b),
         static_cast<void>(b), false;
#endif
}

int RemoveContents(int directory, std::string_view kept) {
  while (true) {
    NameReader names(directory);
    bool is_empty = true;
    bool is_done = false;
    int failed = 0;
    while (const char* name = names.Next()) {
      if (name == kept) continue;
      is_empty = false;
      const int left = RemoveSome(directory, name);
      is_done = is_done || left == 0;
      if (left != 0) failed = left;
    }
    if (names.error() != 0) return names.error();
    if (is_empty) return 0;
    if (!is_done) return failed;
  }
}

int RemoveAll(int directory, const char* name) {
  const int failed = RemoveName(directory, name);
  if (failed == 0 || failed == ENOENT) return 0;
  const Descriptor below(OpenAt(directory, name, kOpen | O_NOFOLLOW));
  if (!below.ok()) return errno == ENOTDIR ? failed : errno;
  if (const int left = RemoveContents(below.get()); left != 0) return left;
  return ::unlinkat(directory, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

}  // namespace qstore::io
