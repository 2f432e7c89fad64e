// SPDX-License-Identifier: Apache-2.0
#include "store/file_stream.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "store/chunk_batch.h"
#include "store/file_items.h"
#include "store/memory_needs.h"
#include "store/object_cache.h"
#include "store/read_ahead.h"
#include "store/small_objects.h"

namespace qstore::store {
namespace {

/// The items of a list of files, made as they are asked for: there may be more of them than memory
/// has room for.
class StreamItems {
 public:
  StreamItems(const ArchiveFile& archive, std::span<const StreamFile> files)
      : archive_(archive), files_(files) {}

  /// The next one. `item->file` is its file's place in the list. Returns false when there is none.
  bool Next(FileItem* item, std::vector<Piece>* pieces) {
    const auto part_at = [this](uint32_t part) {
      const format::ObjectEntry& object = archive_.index().objects[files_[next_ - 1].objects[part]];
      const bool is_small = object.byte_size <= SmallObjects::kMost;
      return FilePart{object.byte_size, is_small ? object.byte_size : object.chunk_bytes()};
    };
    while (next_ == 0 || !cutter_.Next(part_at, item, pieces)) {
      if (next_ == files_.size()) return false;
      cutter_.Begin(static_cast<uint32_t>(next_),
                    static_cast<uint32_t>(files_[next_].objects.size()));
      ++next_;
    }
    return true;
  }

 private:
  const ArchiveFile& archive_;
  std::span<const StreamFile> files_;
  size_t next_ = 0;  // File after that of the cutter.
  ItemCutter cutter_;
};

class Streamer {
 public:
  Streamer(const ArchiveFile& archive, std::span<const StreamFile> files,
           const StreamOptions& options, FileSink* sink, const MemoryShares& shares)
      : archive_(archive),
        files_(files),
        options_(options),
        sink_(*sink),
        items_(archive, files),
        items_ahead_(archive, files),
        wholes_({[this](ContentId id) { return WholeShape(archive_, id); },
                 [this](ContentId id, size_t block, std::span<std::byte> content) {
                   return DecodeBlock(archive_, ahead_.get(), id, block, &wholes_, content);
                 },
                 [this](uint32_t object) { return NeedsOf(archive_, object).wholes; }},
                shares.wholes),
        slots_(shares.items),
        workers_(shares.threads),
        done_bytes_(options.done_bytes) {
    StartReadAhead();
  }
  ~Streamer() {
    for (Worker& worker : workers_) {
      if (worker.batch != nullptr) archive_.GiveBack(std::move(worker.batch));
    }
  }
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;

  Status Run() {
    const base::PipelineBegin begin = [this](const base::PipelineItem& item) -> Result<bool> {
      Slot& slot = slots_[item.slot];
      return items_.Next(&slot.item, &slot.pieces);
    };
    return base::RunPipeline(
        begin, {static_cast<unsigned>(workers_.size()), slots_.size()},
        [this](const base::PipelineItem& item) {
          if (ahead_ != nullptr) ahead_->Begin(item.index);
          const Status done = Decode(&slots_[item.slot], &workers_[item.worker]);
          if (ahead_ != nullptr) ahead_->Done(item.index);
          return done;
        },
        [this](const base::PipelineItem& item) { return Retire(slots_[item.slot]); });
  }

 private:
  struct Slot {
    FileItem item;
    std::vector<Piece> pieces;
    std::vector<std::byte> content;
  };
  // Where the content of a small object comes a second time.
  struct Repeat {
    const std::byte* from;
    std::span<std::byte> to;
  };
  struct Worker {
    std::unique_ptr<ChunkBatch> batch;
    SmallObjects small;
    std::unordered_map<uint32_t, std::span<std::byte>> fresh;  // Small objects of this item.
    std::vector<Repeat> repeats;
  };

  void StartReadAhead() {
    if (archive_.options().read_ahead == 0) return;
    ahead_ = std::make_unique<ReadAhead>(archive_, [this](std::vector<Extent>* extents) {
      if (!items_ahead_.Next(&item_ahead_, &pieces_ahead_)) return false;
      for (const Piece& piece : pieces_ahead_) {
        const uint32_t object = files_[item_ahead_.file].objects[piece.part];
        const uint32_t end = EndChunk(object, piece);
        for (uint32_t chunk = piece.chunk; chunk < end; ++chunk) {
          AddChunkWithAncestors(archive_, object, chunk, &wholes_ahead_, extents);
        }
      }
      return true;
    });
  }

  // A small object is one piece, whatever its chunks.
  uint32_t EndChunk(uint32_t object, const Piece& piece) const {
    const format::ObjectEntry& entry = archive_.index().objects[object];
    return entry.byte_size <= SmallObjects::kMost ? entry.chunk_count : piece.chunk + 1;
  }

  void AddPiece(uint32_t object, const Piece& piece, std::span<std::byte> out, ChunkBatch* batch) {
    const format::ObjectEntry& entry = archive_.index().objects[object];
    const uint32_t end = EndChunk(object, piece);
    for (uint32_t chunk = piece.chunk; chunk < end; ++chunk) {
      const uint64_t begin = (chunk - piece.chunk) * entry.chunk_bytes();
      const uint64_t size = archive_.index().chunk_raw_size(entry, chunk);
      batch->AddWithAncestors(object, chunk, out.subspan(begin, size));
    }
  }

  // Puts a small object in its place, or notes what is to be done when it has been decoded once.
  void AddSmall(uint32_t object, const Piece& piece, std::span<std::byte> out, Worker* worker) {
    if (const auto known = worker->small.Find(object); !known.empty()) {
      std::memcpy(out.data(), known.data(), out.size());
      return;
    }
    const auto [first, is_new] = worker->fresh.try_emplace(object, out);
    if (is_new) {
      AddPiece(object, piece, out, worker->batch.get());
    } else {
      worker->repeats.push_back({first->second.data(), out});
    }
  }

  Status Decode(Slot* slot, Worker* worker) {
    if (worker->batch == nullptr) worker->batch = archive_.TakeBatch(ahead_.get());
    worker->batch->Clear();
    worker->fresh.clear();
    worker->repeats.clear();
    const FileItem& item = slot->item;
    slot->content.resize(item.end - item.begin);
    const StreamFile& file = files_[item.file];
    for (const Piece& piece : slot->pieces) {
      const uint32_t object = file.objects[piece.part];
      const auto out = std::span(slot->content).subspan(piece.begin - item.begin, piece.size);
      worker->batch->Hold(TakesWholes(archive_, object) ? object : WholeHold::kNothing);
      if (archive_.index().objects[object].byte_size <= SmallObjects::kMost) {
        AddSmall(object, piece, out, worker);
      } else {
        AddPiece(object, piece, out, worker->batch.get());
      }
    }
    QSTORE_TRY(worker->batch->Run(&wholes_, nullptr));
    for (const Repeat& repeat : worker->repeats) {
      std::memcpy(repeat.to.data(), repeat.from, repeat.to.size());
    }
    for (const auto& [object, content] : worker->fresh) worker->small.Add(object, content);
    return sink_.Write(file.id, file.offset + item.begin, slot->content);
  }

  Status Retire(const Slot& slot) {
    const StreamFile& file = files_[slot.item.file];
    done_bytes_ += slot.content.size();
    if (file.digest != nullptr) hasher_.Update(slot.content);
    if (file.sha256 != nullptr) sha256_.Update(slot.content);
    if (slot.item.is_last) {
      const bool differs = file.digest != nullptr && hasher_.Finish() != *file.digest;
      if (differs || (file.sha256 != nullptr && sha256_.Finish() != *file.sha256)) {
        return Corrupt(archive_.path().string() + ": file '" +
                       std::string(archive_.index().files[file.id].path) +
                       "': content does not have the " + (differs ? "digest" : "SHA-256") +
                       " stored");
      }
      if (file.digest != nullptr) QSTORE_TRY(archive_.headers().Check(file.id));
      hasher_ = base::Hasher128();
      QSTORE_TRY(sink_.Done(file.id));
    }
    if (options_.progress && !options_.progress({done_bytes_, options_.total_bytes})) {
      return Cancelled();
    }
    return {};
  }

  const ArchiveFile& archive_;
  std::span<const StreamFile> files_;
  const StreamOptions& options_;
  FileSink& sink_;
  StreamItems items_;
  StreamItems items_ahead_;  // The same again, for what is read ahead.
  FileItem item_ahead_;
  std::vector<Piece> pieces_ahead_;
  AheadSet wholes_ahead_;
  std::unique_ptr<ReadAhead> ahead_;  // Null when nothing is to be read ahead.
  ObjectCache wholes_;
  std::vector<Slot> slots_;
  std::vector<Worker> workers_;
  base::Hasher128 hasher_;  // Of the file being retired.
  base::Sha256Hasher sha256_;
  uint64_t done_bytes_;
};

// Of all objects, each looked at once.
MemoryNeeds NeedsOfFiles(const ArchiveFile& archive, std::span<const StreamFile> files) {
  MemoryNeeds needs;
  std::vector<bool> seen(archive.index().objects.size());
  for (const StreamFile& file : files) {
    for (const uint32_t object : file.objects) {
      if (seen[object]) continue;
      seen[object] = true;
      needs.Join(NeedsOf(archive, object));
    }
  }
  // And what a sink compares an item with.
  needs.thread += SmallObjects::kMemory + kItemBytes + needs.chunk;
  return needs;
}

}  // namespace

StreamFile FileOfIndex(const ArchiveFile& archive, uint32_t file) {
  const format::FileEntry& entry = archive.index().files[file];
  const auto parts =
      std::span(archive.index().parts).subspan(entry.parts.begin, entry.parts.size());
  const auto& sha256 = archive.index().sha256;
  const bool has_sha256 = !sha256.empty() && !entry.Has(FileFlag::kDirectory);
  return {file, parts, 0, &entry.digest, has_sha256 ? &sha256[file] : nullptr};
}

Status StreamFiles(const ArchiveFile& archive, std::span<const StreamFile> files,
                   const StreamOptions& options, FileSink* sink) {
  const MemoryNeeds needs = NeedsOfFiles(archive, files);
  const uint64_t taken = options.sink_bytes + archive.ReadAheadMemory();
  if (taken > archive.MemoryLeft()) return archive.BeyondMemory("the list of files", taken);
  const uint64_t item_bytes = kItemBytes + needs.chunk;
  // Few files and bytes are not worth many threads.
  uint64_t work = files.size();
  for (const StreamFile& file : files) work += file.objects.size() / kItemPieces;
  work += options.total_bytes / kItemBytes;
  const auto threads = static_cast<unsigned>(std::min<uint64_t>(options.threads, work));
  QSTORE_ASSIGN(const MemoryShares shares,
                ShareMemory(archive, needs, threads, item_bytes, archive.MemoryLeft() - taken));
  return Streamer(archive, files, options, sink, shares).Run();
}

}  // namespace qstore::store
