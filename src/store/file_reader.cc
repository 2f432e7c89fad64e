// SPDX-License-Identifier: Apache-2.0
#include "qstore/file_reader.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/archive_file.h"
#include "store/chunk_batch.h"
#include "store/file_stretches.h"
#include "store/memory_needs.h"
#include "store/object_cache.h"
#include "store/read_ahead.h"

namespace qstore {
namespace store {
namespace {

// Chunks that are decoded before the next ones are looked at: a range may have more of them than
// memory has room for.
constexpr size_t kMostChunks = 4096;

/// Memory that calls share: each takes its part or waits for it. Thread-safe.
class SharedMemory {
 public:
  explicit SharedMemory(uint64_t most) : most_(most) {}

  void Take(uint64_t bytes) {
    std::unique_lock lock(mutex_);
    given_back_.wait(lock, [&] { return taken_ == 0 || taken_ + bytes <= most_; });
    taken_ += bytes;
  }
  void GiveBack(uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    taken_ -= bytes;
    given_back_.notify_all();
  }

 private:
  const uint64_t most_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  uint64_t taken_ = 0;
};

/// What a call has while it decodes.
class Decoding {
 public:
  Decoding(const ArchiveFile& archive, SharedMemory* memory, uint64_t bytes)
      : archive_(archive), memory_(*memory), bytes_(bytes) {
    memory_.Take(bytes_);
  }
  ~Decoding() {
    if (batch_ != nullptr) archive_.GiveBack(std::move(batch_));
    memory_.GiveBack(bytes_);
  }
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  ChunkBatch* batch() {
    if (batch_ == nullptr) batch_ = archive_.TakeBatch(nullptr);
    return batch_.get();
  }

 private:
  const ArchiveFile& archive_;
  SharedMemory& memory_;
  const uint64_t bytes_;
  std::unique_ptr<ChunkBatch> batch_;
};

/// A chunk of a file, and what is wanted of it.
struct WantedChunk {
  uint32_t object = 0;
  uint32_t chunk = 0;
  uint64_t skip = 0;         // Bytes of the chunk before it.
  std::span<std::byte> out;  // All of it where `is_whole`.
  bool is_whole = false;
};

/// Goes through the chunks that have a range of a file.
class ChunkWalk {
 public:
  /// `begin` lies in the part that `from` names, or behind it.
  ChunkWalk(const ArchiveFile& archive, uint32_t file, const PlacedStretch& from, uint64_t begin,
            std::span<std::byte> out)
      : index_(archive.index()),
        part_(index_.files[file].parts.begin + from.part),
        at_(begin - from.part_begin),
        out_(out) {}

  /// The next one; nothing when all of the range has been given.
  std::optional<WantedChunk> Next() {
    if (out_.empty()) return std::nullopt;
    while (at_ >= index_.objects[index_.parts[part_]].byte_size) {
      at_ -= index_.objects[index_.parts[part_++]].byte_size;
    }
    const uint32_t id = index_.parts[part_];
    const format::ObjectEntry& object = index_.objects[id];
    const auto chunk = static_cast<uint32_t>(at_ / object.chunk_bytes());
    const uint64_t skip = at_ - chunk * object.chunk_bytes();
    const uint64_t size = index_.chunk_raw_size(object, chunk);
    const auto here = static_cast<size_t>(std::min<uint64_t>(size - skip, out_.size()));
    const WantedChunk wanted{id, chunk, skip, out_.first(here), here == size};
    at_ += here;
    out_ = out_.subspan(here);
    return wanted;
  }

 private:
  const format::Index& index_;
  uint32_t part_;
  uint64_t at_;  // In the part, or behind it.
  std::span<std::byte> out_;
};

}  // namespace
}  // namespace store

class FileReader::Impl {
 public:
  Impl(const Archive& archive, const FileReaderOptions& options)
      : facade_(archive),
        archive_(archive.impl()),
        stretches_(archive_),
        scratch_(options.scratch_bytes),
        wholes_limit_(archive_.MemoryLeft() -
                      std::min(archive_.MemoryLeft() / 4, options.scratch_bytes)),
        wholes_({[this](store::ContentId id) { return WholeShape(archive_, id); },
                 [this](store::ContentId id, size_t block, std::span<std::byte> content) {
                   return DecodeBlock(archive_, nullptr, id, block, &wholes_, content);
                 },
                 [this](uint32_t object) { return NeedsOf(archive_, object).wholes; }},
                wholes_limit_, options.kept_bytes) {}

  uint64_t most_stretch_bytes() const { return stretches_.most_bytes(); }

  Result<FileStretch> StretchAt(size_t file, uint64_t offset) {
    QSTORE_TRY(CheckRange(file, offset, 1));
    FileStretch stretch;
    stretch.begin = stretches_.At(static_cast<uint32_t>(file), offset, &stretch.end).begin;
    return stretch;
  }

  Status Read(size_t file, uint64_t begin, std::span<std::byte> out) {
    QSTORE_TRY(CheckRange(file, begin, out.size()));
    if (out.empty()) return {};
    uint64_t end = 0;
    const store::PlacedStretch from = stretches_.At(static_cast<uint32_t>(file), begin, &end);
    store::ChunkWalk walk(archive_, static_cast<uint32_t>(file), from, begin, out);
    std::vector<store::WantedChunk> wanted;
    for (auto next = walk.Next(); next; next = walk.Next()) {
      wanted.push_back(*next);
      if (wanted.size() < store::kMostChunks) continue;
      QSTORE_TRY(Decode(wanted));
      wanted.clear();
    }
    return Decode(wanted);
  }

  Result<uint64_t> OffsetOf(size_t tensor) {
    const format::Index& index = archive_.index();
    if (tensor >= index.tensors.size()) {
      return InvalidArgument("there is no tensor number " + std::to_string(tensor) + " of " +
                             std::to_string(index.tensors.size()));
    }
    const auto file = static_cast<uint32_t>(facade_.tensor(tensor).file);
    QSTORE_TRY(archive_.headers().Check(file));
    uint64_t offset = 0;
    for (uint32_t p = index.files[file].parts.begin; p < index.tensors[tensor].part; ++p) {
      offset += index.objects[index.parts[p]].byte_size;
    }
    return offset;
  }

 private:
  Status CheckRange(size_t file, uint64_t begin, uint64_t size) const {
    const format::Index& index = archive_.index();
    if (file >= index.files.size()) {
      return InvalidArgument("there is no file number " + std::to_string(file) + " of " +
                             std::to_string(index.files.size()));
    }
    const format::FileEntry& entry = index.files[file];
    if (begin <= entry.size && size <= entry.size - begin) return {};
    return InvalidArgument("file '" + std::string(entry.path) + "' has " +
                           std::to_string(entry.size) + " bytes, asked for were " +
                           std::to_string(size) + " from " + std::to_string(begin));
  }

  // Of the objects in a row that are the same, one counts.
  Result<store::MemoryNeeds> NeedsOfAll(const std::vector<store::WantedChunk>& wanted) const {
    store::MemoryNeeds needs;
    uint32_t last = store::kNoObject;
    for (const store::WantedChunk& chunk : wanted) {
      if (std::exchange(last, chunk.object) == chunk.object) continue;
      needs.Join(NeedsOf(archive_, chunk.object));
    }
    if (needs.wholes <= wholes_limit_ && needs.thread <= archive_.MemoryLeft() - needs.wholes) {
      return needs;
    }
    return archive_.BeyondMemory("decoding " + archive_.Describe(needs.object),
                                 needs.wholes + needs.thread);
  }

  Status Decode(const std::vector<store::WantedChunk>& wanted) {
    if (wanted.empty()) return {};
    QSTORE_ASSIGN(const store::MemoryNeeds needs, NeedsOfAll(wanted));
    store::Decoding decoding(archive_, &scratch_, needs.thread);
    store::ChunkBatch* const batch = decoding.batch();
    batch->Clear();
    std::vector<size_t> steps;
    for (const store::WantedChunk& chunk : wanted) {
      const bool holds = TakesWholes(archive_, chunk.object);
      batch->Hold(holds ? chunk.object : store::WholeHold::kNothing);
      steps.push_back(batch->AddWithAncestors(chunk.object, chunk.chunk,
                                              chunk.is_whole ? chunk.out : std::span<std::byte>()));
    }
    size_t next = 0;
    const auto on_decoded = [&](size_t step, std::span<const std::byte> content) {
      if (next == steps.size() || steps[next] != step) return;
      const store::WantedChunk& chunk = wanted[next++];
      if (chunk.is_whole) return;
      std::memcpy(chunk.out.data(), content.data() + chunk.skip, chunk.out.size());
    };
    if (archive_.options().read_ahead == 0) return batch->Run(&wholes_, on_decoded);
    return RunAhead(wanted, batch, on_decoded);
  }

  // From a slow source payloads come in few large reads, several at once.
  Status RunAhead(const std::vector<store::WantedChunk>& wanted, store::ChunkBatch* batch,
                  const store::ChunkBatch::OnDecoded& on_decoded) {
    store::ReadAhead ahead(archive_,
                           [&, given = false](std::vector<store::Extent>* extents) mutable {
                             if (std::exchange(given, true)) return false;
                             for (const store::WantedChunk& chunk : wanted)
                               AddExtents(chunk, extents);
                             return true;
                           });
    ahead.Begin(0);
    batch->ReadBy(&ahead);
    return batch->Run(&wholes_, on_decoded);
  }

  // Of the chunk and those it follows from; what it takes whole of others is kept between calls.
  void AddExtents(const store::WantedChunk& wanted, std::vector<store::Extent>* extents) const {
    for (uint32_t object = wanted.object; object != store::kNoObject;) {
      const format::ChunkEntry& entry = archive_.chunk(object, wanted.chunk);
      extents->push_back({entry.offset, entry.stored_size});
      const bool follows = archive_.NeedsParents(object, wanted.chunk);
      object = follows ? archive_.graph().chunk_parent(object) : store::kNoObject;
    }
  }

  const Archive& facade_;
  const store::ArchiveFile& archive_;
  store::FileStretches stretches_;
  store::SharedMemory scratch_;
  const uint64_t wholes_limit_;
  store::ObjectCache wholes_;
};

FileReader::FileReader(const Archive& archive, const FileReaderOptions& options)
    : impl_(std::make_unique<Impl>(archive, options)) {}
FileReader::~FileReader() = default;

Result<FileStretch> FileReader::StretchAt(size_t file, uint64_t offset) const {
  return base::Guarded([&] { return impl_->StretchAt(file, offset); });
}
uint64_t FileReader::most_stretch_bytes() const { return impl_->most_stretch_bytes(); }
Status FileReader::Read(size_t file, uint64_t begin, std::span<std::byte> out) const {
  return base::Guarded([&] { return impl_->Read(file, begin, out); });
}
Result<uint64_t> FileReader::OffsetOf(size_t tensor) const {
  return base::Guarded([&] { return impl_->OffsetOf(tensor); });
}

}  // namespace qstore
