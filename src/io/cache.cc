// SPDX-License-Identifier: Apache-2.0
#include "io/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/status_macros.h"
#include "io/directory.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

constexpr char kLockSuffix[] = ".lock";
constexpr size_t kMostReadable = 64;
constexpr size_t kEntryDigits = 32;
constexpr std::chrono::milliseconds kLockPoll{50};

// Whether it is a name that NameOf makes: nothing else in the directory is touched.
bool IsEntryName(const std::string& name) {
  if (name.size() <= kEntryDigits || name[name.size() - kEntryDigits - 1] != '-') return false;
  return std::all_of(name.end() - kEntryDigits, name.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

struct CacheEntry {
  std::string name;
  timespec used{};
  uint64_t bytes = 0;
};

}  // namespace

uint64_t SizeOfTree(const std::filesystem::path& directory) {
  std::error_code error;
  uint64_t bytes = 0;
  for (auto at = std::filesystem::recursive_directory_iterator(directory, error);
       !error && at != std::filesystem::end(at); at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  }
  return bytes;
}

void Cache::Lock::Touch() const { static_cast<void>(::futimens(fd_.get(), nullptr)); }

Result<Cache> Cache::Open(const std::filesystem::path& directory) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(directory, error);
  if (!error) std::filesystem::create_directories(absolute, error);
  if (error) return SystemError(directory, "cannot make the cache", error.value());
  return Cache(absolute);
}

std::string Cache::NameOf(const std::string& readable, const std::string& key) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name = readable.substr(0, kMostReadable);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (std::isalnum(byte) == 0 && c != '.' && c != '_')) c = '-';
  }
  if (name.empty() || name.front() == '.') name.insert(0, "-");
  base::Hasher128 hasher;
  hasher.Update(std::as_bytes(std::span(key)));
  name += '-';
  for (const uint8_t byte : hasher.Finish()) {
    name += kHex[byte >> 4];
    name += kHex[byte & 15];
  }
  return name;
}

Result<std::shared_ptr<Cache::Lock>> Cache::TryLock(const std::string& name, Mode mode) const {
  const std::filesystem::path path = directory_ / (name + kLockSuffix);
  while (true) {
    Descriptor fd(OpenAt(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.ok()) return SystemError(path, "cannot open", errno);
    const int kind = mode == Mode::kAlone ? LOCK_EX : LOCK_SH;
    if (::flock(fd.get(), kind | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::shared_ptr<Lock>();
      return SystemError(path, "cannot lock", errno);
    }
    struct stat locked {};
    struct stat named {};
    // Who removes an entry removes this file: then it is not the one that others would lock.
    const bool is_it = ::fstat(fd.get(), &locked) == 0 && ::lstat(path.c_str(), &named) == 0 &&
                       locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
    if (is_it) return std::make_shared<Lock>(std::move(fd));
  }
}

Result<std::shared_ptr<Cache::Lock>> Cache::LockEntry(const std::string& name, Mode mode,
                                                      const std::function<bool()>& go_on) const {
  while (true) {
    QSTORE_ASSIGN(auto lock, TryLock(name, mode));
    if (lock != nullptr) return lock;
    if (!go_on()) return Cancelled();
    std::this_thread::sleep_for(kLockPoll);
  }
}

Status Cache::Remove(const std::string& name) const {
  const int error = RemoveAll(AT_FDCWD, PathOf(name).c_str());
  if (error == 0 || error == ENOENT) return {};
  return SystemError(PathOf(name), "cannot remove", error);
}

void Cache::Forget(const std::string& name) const {
  static_cast<void>(::unlink((directory_ / (name + kLockSuffix)).c_str()));
}

void Cache::MakeRoom(uint64_t bytes) const {
  auto names = ListDirectory(directory_);
  if (!names.ok()) return;
  std::vector<CacheEntry> entries;
  uint64_t total = 0;
  for (std::string& name : *names) {
    if (!IsEntryName(name)) continue;
    struct stat status {};
    // Without a lock file it is older than everything.
    if (::lstat((directory_ / (name + kLockSuffix)).c_str(), &status) != 0) status.st_mtim = {};
    CacheEntry entry{std::move(name), status.st_mtim, 0};
    entry.bytes = SizeOfTree(PathOf(entry.name));
    total += entry.bytes;
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const CacheEntry& a, const CacheEntry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const CacheEntry& entry : entries) {
    if (total <= bytes) return;
    const auto lock = TryLock(entry.name, Mode::kAlone);
    if (!lock.ok() || *lock == nullptr || !Remove(entry.name).ok()) continue;
    Forget(entry.name);
    total -= std::min(total, entry.bytes);
  }
}

Result<uint64_t> Cache::HalfOfDisk() const {
  struct statvfs disk {};
  if (::statvfs(directory_.c_str(), &disk) != 0) {
    return SystemError(directory_, "cannot tell the size of the disk", errno);
  }
  return uint64_t{disk.f_blocks} * disk.f_frsize / 2;
}

}  // namespace qstore::io
