// SPDX-License-Identifier: Apache-2.0
#include "io/file_writer.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {
namespace {

// What is appended is written in whole blocks, so that each write begins at one.
constexpr uint64_t kBlock = 1 << 16;

}  // namespace

void FileWriter::Attach(int fd, uint64_t begin) {
  fd_ = fd;
  size_ = begin;
}

// The page cache holds what one write brings in blocks as large as the place of its first page
// allows, and large blocks are read faster: a load from writes that begin within pages takes an
// eighth longer, from those that begin at any page a fortieth.
Status FileWriter::AppendAll(std::span<const std::span<const std::byte>> pieces) {
  if (fd_ < 0) return InternalError(path_.string() + ": written after it was finished");
  const uint64_t begin = size_ - tail_.size();
  uint64_t end = size_;
  for (const auto& piece : pieces) end += piece.size();
  const uint64_t last_block = end / kBlock * kBlock;
  std::vector<iovec> now;
  std::vector<std::byte> later;
  if (last_block > begin) {
    if (!tail_.empty()) now.push_back({tail_.data(), tail_.size()});
  } else {
    later = std::move(tail_);
  }
  uint64_t at = size_;
  for (const auto& piece : pieces) {
    const size_t before = std::min<uint64_t>(last_block - std::min(last_block, at), piece.size());
    if (before > 0) now.push_back({const_cast<std::byte*>(piece.data()), before});
    later.insert(later.end(), piece.begin() + static_cast<ptrdiff_t>(before), piece.end());
    at += piece.size();
  }
  QSTORE_TRY(WriteVectors(begin, now));
  tail_ = std::move(later);
  size_ = end;
  return {};
}

// None of them is empty.
Status FileWriter::WriteVectors(uint64_t offset, std::span<iovec> vectors) {
  constexpr size_t kMostVectors = 256;
  while (!vectors.empty()) {
    const size_t count = std::min(vectors.size(), kMostVectors);
    const ssize_t put =
        ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      return SystemError(path_, "cannot write at offset " + std::to_string(offset), errno);
    }
    if (put == 0) {
      return IoError(path_.string() + ": cannot write at offset " + std::to_string(offset) +
                     ": the system takes no byte");
    }
    offset += static_cast<uint64_t>(put);
    auto left = static_cast<size_t>(put);
    while (left > 0 && left >= vectors.front().iov_len) {
      left -= vectors.front().iov_len;
      vectors = vectors.subspan(1);
    }
    if (left > 0) {
      vectors.front().iov_base = static_cast<std::byte*>(vectors.front().iov_base) + left;
      vectors.front().iov_len -= left;
    }
  }
  return {};
}

Status FileWriter::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  if (fd_ < 0) return InternalError(path_.string() + ": written after it was finished");
  if (offset < size_) return InternalError(path_.string() + ": written where bytes were appended");
  return WriteOne(offset, bytes);
}

Status FileWriter::WriteOne(uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  iovec vector = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  return WriteVectors(offset, {&vector, 1});
}

Status FileWriter::Flush() {
  QSTORE_TRY(WriteOne(size_ - tail_.size(), tail_));
  tail_ = {};
  return {};
}

}  // namespace qstore::io
