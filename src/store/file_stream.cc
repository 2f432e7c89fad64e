// SPDX-License-Identifier: Apache-2.0
#include "store/file_stream.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/chunk_batch.h"
#include "store/file_items.h"
#include "store/object_cache.h"
#include "store/read_ahead.h"

namespace qstore::store {
namespace {

// What an item holds at most: content and payloads, parents' included.
constexpr uint64_t kTokenBytes = 4 * kItemBytes;

class Streamer {
 public:
  Streamer(const ArchiveFile& archive, std::span<const StreamFile> files,
           const StreamOptions& options, FileSink* sink)
      : archive_(archive),
        files_(files),
        options_(options),
        sink_(*sink),
        wholes_({[this](uint32_t object) { return WholeShape(archive_, object); },
                 [this](uint32_t object, size_t block, std::span<std::byte> content) {
                   return DecodeBlock(archive_, ahead_.get(), object, block, &wholes_, content);
                 }}),
        done_bytes_(options.done_bytes) {
    for (uint32_t f = 0; f < files_.size(); ++f) AddFile(f);
    StartReadAhead();
    const uint64_t affordable = std::max<uint64_t>(1, options.memory_limit / kTokenBytes);
    pipeline_.tokens =
        static_cast<size_t>(std::min<uint64_t>(affordable, 3 * uint64_t{options.threads}));
    pipeline_.threads = static_cast<unsigned>(std::min<uint64_t>(affordable, options.threads));
    contents_.resize(pipeline_.tokens);
    batches_.resize(pipeline_.threads);
  }
  ~Streamer() {
    for (auto& batch : batches_) {
      if (batch != nullptr) archive_.GiveBack(std::move(batch));
    }
  }
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;

  Status Run() {
    return base::RunPipeline(
        items_.items().size(), pipeline_,
        [this](const base::PipelineItem& item) {
          if (ahead_ != nullptr) ahead_->Begin(item.index);
          const Status done =
              Decode(items_.items()[item.index], item.worker, &contents_[item.slot]);
          if (ahead_ != nullptr) ahead_->Done(item.index);
          return done;
        },
        [this](const base::PipelineItem& item) {
          return Retire(items_.items()[item.index], contents_[item.slot]);
        });
  }

 private:
  void AddFile(uint32_t file) {
    std::vector<FileItems::Part> parts;
    for (const uint32_t id : files_[file].objects) {
      const format::ObjectEntry& object = archive_.index().objects[id];
      parts.push_back({object.byte_size, object.chunk_bytes()});
    }
    items_.Add(file, parts);
  }

  void StartReadAhead() {
    if (archive_.options().read_ahead == 0) return;
    std::unordered_set<uint32_t> wholes;
    ahead_ = std::make_unique<ReadAhead>(
        archive_, items_.items().size(), [&](size_t i, std::vector<Extent>* extents) {
          const FileItem& item = items_.items()[i];
          for (const Piece& piece : items_.pieces(item)) {
            const uint32_t object = files_[item.file].objects[piece.part];
            AddChunkWithAncestors(archive_, object, piece.chunk, &wholes, extents);
          }
        });
  }

  Status Decode(const FileItem& item, unsigned worker, std::vector<std::byte>* content) {
    auto& batch = batches_[worker];
    if (batch == nullptr) batch = archive_.TakeBatch(ahead_.get());
    batch->Clear();
    content->resize(item.end - item.begin);
    const StreamFile& file = files_[item.file];
    for (const Piece& piece : items_.pieces(item)) {
      const auto out = std::span(*content).subspan(piece.begin - item.begin, piece.size);
      batch->AddWithAncestors(file.objects[piece.part], piece.chunk, out);
    }
    QSTORE_TRY(batch->Run(&wholes_, nullptr));
    return sink_.Write(file.id, file.offset + item.begin, *content);
  }

  Status Retire(const FileItem& item, std::span<const std::byte> content) {
    const StreamFile& file = files_[item.file];
    done_bytes_ += content.size();
    if (file.digest != nullptr) hasher_.Update(content);
    if (item.is_last) {
      if (file.digest != nullptr && hasher_.Finish() != *file.digest) {
        return Corrupt(archive_.path().string() + ": file '" +
                       std::string(archive_.index().files[file.id].path) +
                       "': content does not have the digest stored");
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
  FileItems items_;
  std::unique_ptr<ReadAhead> ahead_;  // Null when nothing is to be read ahead.
  ObjectCache wholes_;
  base::PipelineOptions pipeline_;
  std::vector<std::vector<std::byte>> contents_;      // By slot.
  std::vector<std::unique_ptr<ChunkBatch>> batches_;  // By worker.
  base::Hasher128 hasher_;                            // Of the file being retired.
  uint64_t done_bytes_;
};

}  // namespace

StreamFile FileOfIndex(const ArchiveFile& archive, uint32_t file) {
  const format::FileEntry& entry = archive.index().files[file];
  const auto parts =
      std::span(archive.index().parts).subspan(entry.parts.begin, entry.parts.size());
  return {file, {parts.begin(), parts.end()}, 0, &entry.digest};
}

Status StreamFiles(const ArchiveFile& archive, std::span<const StreamFile> files,
                   const StreamOptions& options, FileSink* sink) {
  return Streamer(archive, files, options, sink).Run();
}

}  // namespace qstore::store
