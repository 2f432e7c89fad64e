// SPDX-License-Identifier: Apache-2.0
#include "raw_store.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace qstore::cli {
namespace {

size_t ChunkCount(uint64_t bytes) { return (bytes + kRawChunkBytes - 1) / kRawChunkBytes; }

}  // namespace

Result<RawFiles> RawFiles::Open(std::span<const std::filesystem::path> paths) {
  RawFiles files;
  for (const auto& path : paths) {
    auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return file.status();
    files.begins_.push_back(files.size() + (*file)->size());
    files.files_.push_back(std::move(file).value());
  }
  return files;
}

Status RawFiles::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  size_t f = static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), offset) -
                                 begins_.begin()) -
             1;
  for (; !out.empty() && f < files_.size(); ++f) {
    const size_t size = std::min<uint64_t>(out.size(), begins_[f + 1] - offset);
    const Status status = files_[f]->ReadAt(offset - begins_[f], out.first(size));
    if (!status.ok()) return status;
    offset += size;
    out = out.subspan(size);
  }
  return out.empty() ? Status() : InvalidArgument("range beyond the end of the files");
}

Status RawFiles::Load(unsigned threads, TokenBucket* bucket, uint64_t begin,
                      std::span<std::byte> out) const {
  return ForChunks(ChunkCount(out.size()), threads, nullptr, [&](size_t chunk, ChunkWorker*) {
    const uint64_t at = chunk * kRawChunkBytes;
    const auto part = out.subspan(at, std::min<uint64_t>(kRawChunkBytes, out.size() - at));
    bucket->Take(part.size());
    return ReadAt(begin + at, part);
  });
}

Status RawStore::Save(const RawFiles& files, const RawCodecFactory& codec, unsigned threads,
                      const std::filesystem::path& output) {
  const auto file = PosixFile::Create(output);
  if (!file.ok()) return file.status();
  const Footer footer = {files.size(), ChunkCount(files.size())};
  std::vector<Chunk> chunks(footer.chunk_count);
  std::atomic<uint64_t> end{0};
  Status status = ForChunks(chunks.size(), threads, codec, [&](size_t c, ChunkWorker* worker) {
    const uint64_t begin = c * kRawChunkBytes;
    worker->in.resize(std::min(kRawChunkBytes, files.size() - begin));
    if (const Status read = files.ReadAt(begin, worker->in); !read.ok()) return read;
    worker->out.resize(worker->in.size());
    const size_t size = codec ? worker->codec->Compress(worker->in, worker->out) : 0;
    const bool shrunk = size != 0 && size < worker->in.size();
    const auto stored = shrunk ? std::span(worker->out).first(size) : std::span(worker->in);
    chunks[c] = {end.fetch_add(stored.size()), stored.size()};
    return (*file)->WriteAt(chunks[c].offset, stored);
  });
  if (!status.ok()) return status;
  const auto table = std::as_bytes(std::span(chunks));
  status = (*file)->WriteAt(end, table);
  if (!status.ok()) return status;
  return (*file)->WriteAt(end + table.size(), std::as_bytes(std::span(&footer, 1)));
}

Result<RawStore> RawStore::Open(const std::filesystem::path& path, TokenBucket* bucket) {
  RawStore store;
  auto file = PosixFile::OpenRead(path);
  if (!file.ok()) return file.status();
  store.file_ = std::move(file).value();
  const uint64_t size = store.file_->size();
  const Status bad = Corrupt(path.string() + ": was not written by this benchmark");
  if (size < sizeof(Footer)) return bad;
  bucket->Take(sizeof(Footer));
  Status status = store.file_->ReadAt(size - sizeof(Footer),
                                      std::as_writable_bytes(std::span(&store.footer_, 1)));
  if (!status.ok()) return status;
  const uint64_t count = store.footer_.chunk_count;
  if (count > size / sizeof(Chunk) || count != ChunkCount(store.footer_.raw_size)) return bad;
  store.chunks_.resize(count);
  const auto table = std::as_writable_bytes(std::span(store.chunks_));
  if (table.size() > size - sizeof(Footer)) return bad;
  bucket->Take(table.size());
  status = store.file_->ReadAt(size - sizeof(Footer) - table.size(), table);
  if (!status.ok()) return status;
  return store;
}

uint64_t RawStore::ChunkSize(size_t chunk) const {
  return std::min(kRawChunkBytes, footer_.raw_size - chunk * kRawChunkBytes);
}

Status RawStore::DecodeChunk(size_t chunk, TokenBucket* bucket, ChunkWorker* worker,
                             std::span<std::byte> content) const {
  const Chunk& entry = chunks_[chunk];
  bucket->Take(entry.stored_size);
  if (entry.stored_size == content.size()) return file_->ReadAt(entry.offset, content);
  const Status bad =
      Corrupt(file_->path().string() + ": chunk " + std::to_string(chunk) + " cannot be decoded");
  if (entry.stored_size > content.size() || worker->codec == nullptr) return bad;
  worker->in.resize(kRawChunkBytes);
  const auto stored = std::span(worker->in).first(entry.stored_size);
  if (const Status status = file_->ReadAt(entry.offset, stored); !status.ok()) return status;
  return worker->codec->Decompress(stored, content) ? Status() : bad;
}

Status RawStore::Load(const RawCodecFactory& codec, unsigned threads, TokenBucket* bucket,
                      uint64_t begin, std::span<std::byte> out) const {
  const uint64_t end = begin + out.size();
  const size_t first = begin / kRawChunkBytes;
  const size_t count = out.empty() ? 0 : ChunkCount(end) - first;
  return ForChunks(count, threads, codec, [&](size_t c, ChunkWorker* worker) -> Status {
    const size_t chunk = first + c;
    const uint64_t chunk_begin = chunk * kRawChunkBytes;
    const uint64_t size = ChunkSize(chunk);
    if (chunk_begin >= begin && chunk_begin + size <= end) {
      return DecodeChunk(chunk, bucket, worker, out.subspan(chunk_begin - begin, size));
    }
    // Only a part is wanted: decoded beside it.
    worker->out.resize(size);
    const Status status = DecodeChunk(chunk, bucket, worker, worker->out);
    if (!status.ok()) return status;
    const uint64_t from = std::max(begin, chunk_begin);
    const uint64_t to = std::min(end, chunk_begin + size);
    std::memcpy(out.data() + (from - begin), worker->out.data() + (from - chunk_begin), to - from);
    return {};
  });
}

}  // namespace qstore::cli
