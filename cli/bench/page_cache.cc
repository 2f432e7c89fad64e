// SPDX-License-Identifier: Apache-2.0
#include "page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "posix_file.h"

namespace qstore::cli {
namespace {

struct PageCount {
  uint64_t all = 0;
  uint64_t resident = 0;
};

Status CountPages(const PosixFile& file, PageCount* count) {
  if (file.size() == 0) return {};
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  void* map = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.fd(), 0);
  if (map == MAP_FAILED) return SystemError(file.path(), "cannot map");
  std::vector<unsigned char> states((file.size() + page - 1) / page);
  const int result = ::mincore(map, file.size(), states.data());
  const Status status = result == 0 ? Status() : SystemError(file.path(), "cannot look at pages");
  ::munmap(map, file.size());
  count->all += states.size();
  count->resident += static_cast<uint64_t>(
      std::count_if(states.begin(), states.end(), [](unsigned char state) { return state & 1; }));
  return status;
}

void DropAllCaches() {
  const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  // Whether it worked is seen by looking at the pages.
  [[maybe_unused]] const ssize_t written = ::write(fd, "1\n", 2);
  ::close(fd);
}

}  // namespace

Result<double> ResidentShare(std::span<const std::filesystem::path> files) {
  PageCount count;
  for (const auto& path : files) {
    const auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return file.status();
    if (const Status status = CountPages(**file, &count); !status.ok()) return status;
  }
  if (count.all == 0) return 1.0;
  return static_cast<double>(count.resident) / static_cast<double>(count.all);
}

Result<double> DropPages(std::span<const std::filesystem::path> files) {
  for (const auto& path : files) {
    const auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return file.status();
    if (::fsync((*file)->fd()) != 0) return SystemError(path, "cannot sync");
    ::posix_fadvise((*file)->fd(), 0, 0, POSIX_FADV_DONTNEED);
  }
  const auto share = ResidentShare(files);
  if (!share.ok() || *share == 0) return share;
  DropAllCaches();
  return ResidentShare(files);
}

Status WarmPages(std::span<const std::filesystem::path> files) {
  const auto share = ResidentShare(files);
  if (!share.ok()) return share.status();
  if (*share == 1) return {};
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (const auto& path : files) {
    const auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return file.status();
    for (uint64_t at = 0; at < (*file)->size(); at += buffer.size()) {
      const uint64_t size = std::min<uint64_t>(buffer.size(), (*file)->size() - at);
      const Status status = (*file)->ReadAt(at, std::span(buffer).first(size));
      if (!status.ok()) return status;
    }
  }
  return {};
}

}  // namespace qstore::cli
