// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "fuzz/fuzz.h"
#include "qstore/archive.h"

namespace qstore::fuzz {

/// Archives that promise more are opened and inspected only: a few bytes may stand for gigabytes.
inline constexpr uint64_t kMaxContent = uint64_t{4} << 20;

/// Bytes of all files of an archive, each counted up to a little more than kMaxContent.
inline uint64_t ContentOf(const Archive& archive) {
  uint64_t content = 0;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const auto variant = archive.variant(v);
    for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
      content += std::min(archive.file(f).size, kMaxContent + 1);
    }
  }
  return content;
}

/// A file without a name, in memory; one serves all inputs.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("archive", MFD_CLOEXEC)) { FUZZ_CHECK(fd_ >= 0); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void Hold(std::span<const std::byte> content) const {
    FUZZ_CHECK(::ftruncate(fd_, 0) == 0);
    Put(0, content);
  }
  /// With `hole` bytes of zeros, which take no memory, at `at`.
  void HoldWithHole(std::span<const std::byte> content, size_t at, uint64_t hole) const {
    Hold(content.first(at));
    FUZZ_CHECK(::ftruncate(fd_, static_cast<off_t>(content.size() + hole)) == 0);
    Put(at + hole, content.subspan(at));
  }

 private:
  void Put(uint64_t offset, std::span<const std::byte> bytes) const {
    FUZZ_CHECK(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
               static_cast<ssize_t>(bytes.size()));
  }

  int fd_;
};

/// What an input adds to the most memory that was ever in use.
class MemoryGrowth {
 public:
  /// Content twice, parents of every depth, sanitizers.
  void Check() const { FUZZ_CHECK(PeakKib() - before_ < kMaxKib); }

 private:
  static constexpr int64_t kMaxKib = 256 << 10;
  static int64_t PeakKib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  }

  const int64_t before_ = PeakKib();
};

}  // namespace qstore::fuzz
