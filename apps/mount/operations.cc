// SPDX-License-Identifier: Apache-2.0
#include "mount/operations.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qstore::mount {
namespace {

// Nothing in an archive changes: what the system has been told it may keep.
constexpr double kForever = 365.0 * 24 * 3600;
constexpr blksize_t kBlockBytes = 4096;
constexpr uint64_t kStatUnit = 512;  // Of st_blocks, always.
// Of a request, and of what the system reads ahead: large ones cost less by byte.
constexpr unsigned kRequestBytes = 1U << 20;
// Requests under way at once before the system holds others back.
constexpr unsigned kMostRequests = 64;

Served& ServedBy(fuse_req_t request) { return *static_cast<Served*>(fuse_req_userdata(request)); }

// Nothing may be thrown through libfuse. `answer` replies as the last thing that it does.
template <class Answer>
void Guard(fuse_req_t request, const Answer& answer) {
  try {
    answer();
  } catch (const std::exception&) {
    fuse_reply_err(request, ENOMEM);
  }
}

struct stat StatOf(const Served& served, uint64_t number) {
  const FileTree::Node& node = served.tree.node(number);
  struct stat stat {};
  stat.st_ino = number;
  stat.st_mode = S_IFDIR | 0555;
  // Of a directory, as other systems say that do not count: 2 would mean that none is inside.
  stat.st_nlink = 1;
  if (node.file) {
    const FileInfo info = served.archive.file(*node.file);
    stat.st_mode = S_IFREG | (info.is_executable ? 0555 : 0444);
    stat.st_size = static_cast<off_t>(info.size);
    stat.st_blocks = static_cast<blkcnt_t>((info.size + kStatUnit - 1) / kStatUnit);
  }
  stat.st_blksize = kBlockBytes;
  stat.st_uid = served.user;
  stat.st_gid = served.group;
  stat.st_atim = served.time;
  stat.st_mtim = served.time;
  stat.st_ctim = served.time;
  return stat;
}

void Init(void* /*user_data*/, fuse_conn_info* connection) {
  connection->max_readahead = std::max(connection->max_readahead, kRequestBytes);
  connection->max_background = kMostRequests;
  connection->congestion_threshold = kMostRequests / 4 * 3;
}

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Served& served = ServedBy(request);
  fuse_entry_param entry{};
  entry.entry_timeout = kForever;
  entry.attr_timeout = kForever;
  if (!served.tree.Contains(parent)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  // What is not there will not be either: node 0.
  if (const auto number = served.tree.Find(parent, name)) {
    entry.ino = *number;
    entry.attr = StatOf(served, *number);
  }
  fuse_reply_entry(request, &entry);
}

void Forget(fuse_req_t request, fuse_ino_t /*number*/, uint64_t /*lookups*/) {
  fuse_reply_none(request);
}

void ForgetMany(fuse_req_t request, size_t /*count*/, fuse_forget_data* /*nodes*/) {
  fuse_reply_none(request);
}

void GetAttributes(fuse_req_t request, fuse_ino_t number, fuse_file_info* /*file*/) {
  const Served& served = ServedBy(request);
  if (!served.tree.Contains(number)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  const struct stat stat = StatOf(served, number);
  fuse_reply_attr(request, &stat, kForever);
}

// What Open has made.
Reading* ReadingOf(const fuse_file_info& file) {
  return std::bit_cast<Reading*>(static_cast<uintptr_t>(file.fh));
}

void Open(fuse_req_t request, fuse_ino_t number, fuse_file_info* file) {
  const Served& served = ServedBy(request);
  if (!served.tree.Contains(number) || !served.tree.node(number).file) {
    fuse_reply_err(request, served.tree.Contains(number) ? EISDIR : ENOENT);
    return;
  }
  if ((file->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EROFS);
    return;
  }
  Guard(request, [&] {
    auto reading = std::make_unique<Reading>(*served.tree.node(number).file);
    file->fh = std::bit_cast<uintptr_t>(reading.get());
    file->keep_cache = 1;
    // Else whoever asked is gone, and nobody will close it.
    if (fuse_reply_open(request, file) == 0) static_cast<void>(reading.release());
  });
}

void Release(fuse_req_t request, fuse_ino_t /*number*/, fuse_file_info* file) {
  delete ReadingOf(*file);
  fuse_reply_err(request, 0);
}

void Refuse(fuse_req_t request, size_t file, uint64_t offset, const Status& status) {
  const Served& served = ServedBy(request);
  std::string path(served.archive.file(file).path);
  for (size_t v = 0; v < served.archive.variant_count(); ++v) {
    const VariantInfo variant = served.archive.variant(v);
    if (file < variant.first_file || file >= variant.first_file + variant.file_count) continue;
    path.insert(0, std::string(variant.name) + "/");
  }
  served.log.Write("cannot read " + path + " at offset " + std::to_string(offset) + ": " +
                   status.message() + " (" + std::string(ErrorCodeName(status.code())) + ")");
  fuse_reply_err(request, status.code() == ErrorCode::kLimit ? ENOMEM : EIO);
}

void Reply(fuse_req_t request, std::span<const std::byte> bytes) {
  fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void ReadPiece(fuse_req_t request, Reading* reading, size_t size, uint64_t offset) {
  const Served& served = ServedBy(request);
  // An answer that is shorter than the request means the end of the file.
  const uint64_t file_size = served.archive.file(reading->file()).size;
  size = static_cast<size_t>(std::min<uint64_t>(size, file_size - std::min(file_size, offset)));
  if (size == 0) {
    Reply(request, {});
    return;
  }
  // Kept by each thread: fresh memory for every request costs as much as copying to it.
  thread_local std::vector<std::byte> together;
  size_t begun = 0;
  {
    const auto piece = served.cache.Find(reading, offset, size);
    if (!piece.ok()) {
      Refuse(request, reading->file(), offset, piece.status());
      return;
    }
    if (piece->bytes().size() == size) {
      Reply(request, piece->bytes());
      return;
    }
    begun = piece->bytes().size();
    if (together.size() < size) together.resize(size);
    std::memcpy(together.data(), piece->bytes().data(), begun);
  }
  const auto rest = std::span(together).first(size).subspan(begun);
  if (const Status read = served.cache.Read(reading, offset + begun, rest); !read.ok()) {
    Refuse(request, reading->file(), offset, read);
    return;
  }
  Reply(request, std::span(together).first(size));
}

void Read(fuse_req_t request, fuse_ino_t /*number*/, size_t size, off_t offset,
          fuse_file_info* file) {
  Guard(request,
        [&] { ReadPiece(request, ReadingOf(*file), size, static_cast<uint64_t>(offset)); });
}

void OpenDirectory(fuse_req_t request, fuse_ino_t /*number*/, fuse_file_info* file) {
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(request, file);
}

// Entry 0 is the directory itself, 1 the one above.
void ReadDirectory(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                   fuse_file_info* /*file*/) {
  const Served& served = ServedBy(request);
  if (!served.tree.Contains(number)) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  Guard(request, [&] {
    const auto children = served.tree.children(number);
    std::vector<char> list(size);
    size_t filled = 0;
    for (auto at = static_cast<size_t>(offset); at < children.size() + 2; ++at) {
      std::string name = at == 0 ? "." : "..";
      uint64_t entry = at == 0 ? number : served.tree.node(number).parent;
      if (at >= 2) {
        entry = children[at - 2];
        name = served.tree.node(entry).name;
      }
      const struct stat stat = StatOf(served, entry);
      const size_t taken = fuse_add_direntry(request, list.data() + filled, size - filled,
                                             name.c_str(), &stat, static_cast<off_t>(at + 1));
      if (taken > size - filled) break;
      filled += taken;
    }
    fuse_reply_buf(request, list.data(), filled);
  });
}

void StatSystem(fuse_req_t request, fuse_ino_t /*number*/) {
  const Served& served = ServedBy(request);
  uint64_t bytes = 0;
  for (size_t v = 0; v < served.archive.variant_count(); ++v) {
    bytes += served.archive.variant(v).source_bytes;
  }
  struct statvfs stat {};
  stat.f_bsize = kBlockBytes;
  stat.f_frsize = kBlockBytes;
  stat.f_blocks = (bytes + kBlockBytes - 1) / kBlockBytes;
  stat.f_files = served.tree.node_count();
  stat.f_namemax = FileTree::kMostNameBytes;
  fuse_reply_statfs(request, &stat);
}

fuse_lowlevel_ops MakeOperations() {
  fuse_lowlevel_ops operations{};
  operations.init = Init;
  operations.lookup = Lookup;
  operations.forget = Forget;
  operations.forget_multi = ForgetMany;
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.read = Read;
  operations.release = Release;
  operations.opendir = OpenDirectory;
  operations.readdir = ReadDirectory;
  operations.statfs = StatSystem;
  return operations;
}

}  // namespace

const fuse_lowlevel_ops& Operations() {
  static const fuse_lowlevel_ops operations = MakeOperations();
  return operations;
}

}  // namespace qstore::mount
