// SPDX-License-Identifier: Apache-2.0
#include "store/pack_encoder.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/chunk_coder.h"
#include "store/file_items.h"
#include "store/object_cache.h"
#include "store/parent_contents.h"
#include "store/parent_sightings.h"
#include "store/read_windows.h"

namespace qstore::store {
namespace {

using Bytes = std::vector<std::byte>;

// What an item holds at most: content and payload of a chunk more than kItemBytes.
uint64_t TokenBytes(Level level) {
  const uint64_t elems = level == Level::kMax ? scheme::kMaxLevelChunkElems : scheme::kChunkElems;
  return 3 * (kItemBytes + elems * sizeof(float));
}

uint64_t AffordableTokens(const PackOptions& options) {
  return std::max<uint64_t>(1, options.memory_limit / TokenBytes(options.level));
}

// Of parents that are kept: scales and a range, and those of the next object.
constexpr uint64_t kParentBytes = uint64_t{192} << 20;

// Bytes of a whole parent that one thread reads at a time: a huge page.
constexpr size_t kWholeBlock = size_t{1} << 21;

// Their checksums alone would exceed what an index may have.
constexpr uint64_t kMaxChunks = format::kMaxIndexBytes / sizeof(uint64_t);

struct FilePlace {
  uint32_t variant;
  uint32_t file;
};

struct EncodedChunk {
  uint32_t chunk;  // In the table of all chunks.
  format::ChunkEntry entry;
  uint64_t raw_hash;
};

struct Slot {
  Bytes raw;
  std::vector<Bytes> payloads;  // By chunk; there may be more of them than chunks.
  std::vector<EncodedChunk> chunks;
  std::vector<ParentSighting> sightings;
};

struct Worker {
  scheme::ChunkCoder coder;
  Bytes parent;
  RangeMemory ranges;
  ReadWindows windows;
};

class Encoder {
 public:
  Encoder(const PackPlan& plan, const PackOptions& options, unsigned threads,
          io::FileWriter* output)
      : plan_(plan),
        options_(options),
        output_(*output),
        wholes_({[this](ContentId id) { return ShapeOf(id); },
                 [this](ContentId id, size_t block, std::span<std::byte> content) {
                   return ReadBlock(id, block, content);
                 }},
                UINT64_MAX, kParentBytes) {
    pipeline_.tokens =
        static_cast<size_t>(std::min<uint64_t>(AffordableTokens(options), 3 * uint64_t{threads}));
    pipeline_.threads = AffordableThreads(options, threads);
  }

  Result<EncodedObjects> Run() {
    QSTORE_ASSIGN(encoded_, LayOutObjects(plan_, options_.sha256));
    sightings_.Resize(encoded_.chunks.size());
    LayOutItems();
    slots_.resize(pipeline_.tokens);
    workers_.resize(pipeline_.threads);
    QSTORE_TRY(base::RunPipeline(
        items_.items().size(), pipeline_,
        [this](const base::PipelineItem& item) {
          return Encode(item.index, &workers_[item.worker], &slots_[item.slot]);
        },
        [this](const base::PipelineItem& item) {
          return Retire(items_.items()[item.index], &slots_[item.slot]);
        }));
    if (const auto wrong = sightings_.FirstWrong()) return ParentChanged(*wrong);
    for (const auto& [file, twin] : twins_) DigestsOf(file) = DigestsOf(twin);
    return std::move(encoded_);
  }

 private:
  // A file whose objects are those of an earlier file has its content: it need not be read again.
  void LayOutItems() {
    std::map<std::vector<uint32_t>, uint32_t> by_objects;
    for (uint32_t v = plan_.stored_variants(); v < plan_.variants.size(); ++v) {
      const SourceVariant& variant = plan_.variants[v];
      for (const uint32_t f : CodingOrder(variant)) {
        std::vector<uint32_t> objects;
        std::vector<FilePart> parts;
        for (const SourcePart& part : variant.files[f].parts) {
          objects.push_back(part.object);
          const format::ObjectEntry& object = encoded_.objects[part.object];
          parts.push_back({object.byte_size, object.chunk_bytes()});
          total_bytes_ += part.size();
        }
        const auto id = static_cast<uint32_t>(files_.size());
        files_.push_back({v, f});
        const auto [twin, is_new] = by_objects.try_emplace(std::move(objects), id);
        if (is_new) {
          items_.Add(id, parts);
        } else {
          twins_.emplace_back(id, twin->second);
          done_bytes_ += variant.files[f].size;
        }
      }
    }
  }

  const SourceFileEntry& File(uint32_t id) const {
    return plan_.variants[files_[id].variant].files[files_[id].file];
  }
  EncodedObjects::Digests& DigestsOf(uint32_t id) {
    return encoded_.digests[files_[id].variant][files_[id].file];
  }

  Status Encode(size_t number, Worker* worker, Slot* slot) {
    const FileItem& item = items_.items()[number];
    const SourceFileEntry& entry = File(item.file);
    slot->chunks.clear();
    slot->sightings.clear();
    slot->raw.resize(item.end - item.begin);
    if (entry.file != nullptr) QSTORE_TRY(entry.file->Read(item.begin, slot->raw));
    for (const Piece& piece : items_.pieces(number)) {
      const uint32_t object = entry.parts[piece.part].object;
      const PartPlace& place = plan_.objects[object].place;
      const FilePlace& here = files_[item.file];
      if (place.variant != here.variant || place.file != here.file || place.part != piece.part) {
        continue;  // Stored by an earlier part of equal content.
      }
      const auto raw = std::span(slot->raw).subspan(piece.begin - item.begin, piece.size);
      QSTORE_TRY(
          EncodeChunk(object, piece.chunk, raw, worker, slot).WithContext(entry.source.string()));
    }
    return {};
  }

  Status EncodeChunk(uint32_t id, uint32_t chunk, std::span<const std::byte> raw, Worker* worker,
                     Slot* slot) {
    const PlannedObject& object = plan_.objects[id];
    ParentContents parents;
    if (object.bound != nullptr) {
      QSTORE_TRY(ReadChunkOfParent(object, chunk, worker, slot));
      const scheme::ChunkAt at{object.spec.first_elem(chunk), object.spec.chunk_elem_count(chunk)};
      QSTORE_ASSIGN(
          parents,
          ParentContents::Fetch(
              *object.bound, object.parents, at, worker->parent,
              {[this, slot](ContentId parent) { return GetParent(parent, slot); },
               [this](uint32_t parent) { return plan_.objects[parent].spec.chunk_bytes(); }},
              &worker->ranges));
      if (chunk == 0) QSTORE_TRY(SightWholes(object, slot));
    }
    if (slot->payloads.size() == slot->chunks.size()) slot->payloads.emplace_back();
    Bytes& payload = slot->payloads[slot->chunks.size()];
    EncodedChunk coded;
    QSTORE_ASSIGN(coded.entry.codec, worker->coder.Encode(object.spec, options_.level, chunk, raw,
                                                          parents.given(), &payload));
    coded.chunk = ChunkNumber(id, chunk);
    coded.entry.stored_size = static_cast<uint32_t>(payload.size());
    coded.entry.checksum = base::Hash64(payload);
    coded.raw_hash = object.is_parent ? base::Hash64(raw) : 0;
    slot->chunks.push_back(coded);
    return {};
  }

  // In the table of all chunks.
  uint32_t ChunkNumber(uint32_t object, uint32_t chunk) const {
    return encoded_.objects[object].first_chunk + chunk;
  }

  // Where one is taken by chunks.
  Status ReadChunkOfParent(const PlannedObject& object, uint32_t chunk, Worker* worker,
                           Slot* slot) const {
    for (size_t p = 0; p < object.parents.size(); ++p) {
      if (object.bound->TakeOf(p) == scheme::Take::kChunk) {
        QSTORE_TRY(ReadParent(object.parents[p], chunk, worker, slot));
      }
    }
    return {};
  }

  Status ReadParent(uint32_t id, uint32_t chunk, Worker* worker, Slot* slot) const {
    const PlannedObject& parent = plan_.objects[id];
    const uint64_t elem_bytes = parent.spec.elem_bytes();
    Bytes& content = worker->parent;
    content.resize(parent.spec.chunk_elem_count(chunk) * elem_bytes);
    const PartSource source(plan_.file(parent.place), plan_.part(parent.place), &worker->windows);
    QSTORE_TRY(source.Read(parent.spec.first_elem(chunk) * elem_bytes, content));
    Sight(id, chunk, content, slot);
    return {};
  }

  // What is whole is sighted once.
  Result<WholeContent> GetParent(ContentId id, Slot* slot) {
    QSTORE_ASSIGN(WholeContent content, wholes_.Get(id));
    if (!id.is_whole()) {
      Sight(id.object, id.chunk, content.bytes, slot);
    }
    return content;
  }

  // What is stored is decoded under its checksums.
  void Sight(uint32_t id, uint32_t chunk, std::span<const std::byte> content, Slot* slot) const {
    if (plan_.is_stored(id)) return;
    slot->sightings.push_back({id, ChunkNumber(id, chunk), base::Hash64(content)});
  }

  Status SightWholes(const PlannedObject& child, Slot* slot) {
    for (size_t p = 0; p < child.parents.size(); ++p) {
      if (child.bound->TakeOf(p) != scheme::Take::kWhole) continue;
      const uint32_t id = child.parents[p];
      QSTORE_ASSIGN(const auto content, wholes_.Get(id));
      const format::ObjectEntry& object = encoded_.objects[id];
      for (uint32_t chunk = 0; chunk < object.chunk_count; ++chunk) {
        const uint64_t begin = chunk * object.chunk_bytes();
        const uint64_t size = std::min(object.chunk_bytes(), object.byte_size - begin);
        Sight(id, chunk, content.bytes.subspan(begin, size), slot);
      }
    }
    return {};
  }

  WholeLoader::Shape ShapeOf(ContentId id) const {
    const scheme::ObjectSpec& spec = plan_.objects[id.object].spec;
    const uint64_t size =
        id.is_whole() ? spec.byte_size : spec.chunk_elem_count(id.chunk) * spec.elem_bytes();
    return {static_cast<size_t>(size), static_cast<size_t>((size + kWholeBlock - 1) / kWholeBlock)};
  }

  Status ReadBlock(ContentId id, size_t block, std::span<std::byte> content) const {
    const PlannedObject& object = plan_.objects[id.object];
    const uint64_t first = id.is_whole() ? 0 : id.chunk * object.spec.chunk_bytes();
    const size_t begin = block * kWholeBlock;
    const auto part = content.subspan(begin, std::min(kWholeBlock, content.size() - begin));
    const SourceFileEntry& file = plan_.file(object.place);
    if (file.is_stored || part.size() > ReadWindows::kShort) {
      return PartSource(file, plan_.part(object.place)).Read(first + begin, part);
    }
    // Whoever takes it first loads it, in any thread; parents lie as near one another as children.
    const std::lock_guard lock(windows_mutex_);
    return PartSource(file, plan_.part(object.place), &windows_).Read(first + begin, part);
  }

  Status Retire(const FileItem& item, Slot* slot) {
    for (const ParentSighting& seen : slot->sightings) {
      if (!sightings_.Seen(seen)) return ParentChanged(seen);
    }
    uint64_t offset = output_.size();
    for (const EncodedChunk& coded : slot->chunks) {
      format::ChunkEntry& entry = encoded_.chunks[coded.chunk];
      entry = coded.entry;
      entry.offset = offset;
      offset += entry.stored_size;
      sightings_.Coded(coded.chunk, coded.raw_hash);
    }
    QSTORE_TRY(WritePayloads(slot));
    hasher_.Update(slot->raw);
    if (options_.sha256) sha256_.Update(slot->raw);
    if (item.is_last) {
      EncodedObjects::Digests& digests = DigestsOf(item.file);
      digests.xxh3 = hasher_.Finish();
      if (options_.sha256) digests.sha256 = sha256_.Finish();
      hasher_ = base::Hasher128();
      const auto& file = File(item.file).file;
      if (file != nullptr) QSTORE_TRY(file->CheckUnchanged());
    }
    done_bytes_ += item.end - item.begin;
    return Report();
  }

  Status ParentChanged(const ParentSighting& seen) const {
    return SourceChanged(plan_.file(plan_.objects[seen.object].place).source.string() +
                         ": its content changed while it was read");
  }

  Status WritePayloads(Slot* slot) {
    pieces_.clear();
    for (size_t i = 0; i < slot->chunks.size(); ++i) {
      if (!slot->payloads[i].empty()) pieces_.push_back(slot->payloads[i]);
    }
    QSTORE_TRY(output_.AppendAll(pieces_));
    // The first few are used by every item; what one item had in others, the next may have not.
    constexpr size_t kUsual = 8;
    for (size_t i = kUsual; i < slot->chunks.size(); ++i) {
      if (slot->payloads[i].capacity() > kItemBytes / kUsual) slot->payloads[i] = Bytes();
    }
    return {};
  }

  Status Report() const {
    if (options_.progress && !options_.progress({done_bytes_, total_bytes_})) {
      return Cancelled();
    }
    return {};
  }

  const PackPlan& plan_;
  const PackOptions& options_;
  io::FileWriter& output_;
  ObjectCache wholes_;
  mutable std::mutex windows_mutex_;
  mutable ReadWindows windows_;  // Of what wholes_ loads.
  base::PipelineOptions pipeline_;
  FileItems items_;
  std::vector<FilePlace> files_;                      // By the file ids of items_.
  std::vector<std::pair<uint32_t, uint32_t>> twins_;  // Files, each with the earlier equal one.
  std::vector<Slot> slots_;
  std::vector<Worker> workers_;
  std::vector<std::span<const std::byte>> pieces_;
  EncodedObjects encoded_;
  ParentSightings sightings_;
  base::Hasher128 hasher_;  // Of the file being retired.
  base::Sha256Hasher sha256_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace

Result<EncodedObjects> LayOutObjects(const PackPlan& plan, bool has_sha256) {
  EncodedObjects laid_out;
  laid_out.has_sha256 = has_sha256;
  if (plan.stored != nullptr) {
    laid_out.objects = plan.stored->objects;
    laid_out.parents = plan.stored->parents;
    laid_out.chunks = plan.stored->chunks;
  }
  uint64_t next = laid_out.chunks.size();
  for (size_t id = plan.stored_objects(); id < plan.objects.size(); ++id) {
    const PlannedObject& object = plan.objects[id];
    format::ObjectEntry entry;
    entry.byte_size = object.spec.byte_size;
    entry.row_elems = object.spec.row_elems;
    entry.chunk_elems = object.spec.chunk_elems;
    entry.dtype = object.spec.dtype;
    entry.scheme = object.scheme_id;
    entry.params = object.params;
    entry.parents.begin = static_cast<uint32_t>(laid_out.parents.size());
    laid_out.parents.insert(laid_out.parents.end(), object.parents.begin(), object.parents.end());
    entry.parents.end = static_cast<uint32_t>(laid_out.parents.size());
    entry.first_chunk = static_cast<uint32_t>(next);
    entry.chunk_count = static_cast<uint32_t>(object.spec.chunk_count());
    next += object.spec.chunk_count();
    laid_out.objects.push_back(entry);
    if (next > kMaxChunks) return LimitExceeded("the variants have too many chunks");
  }
  laid_out.chunks.resize(next);
  for (const SourceVariant& variant : plan.variants) {
    laid_out.digests.emplace_back(variant.files.size());
  }
  return laid_out;
}

unsigned AffordableThreads(const PackOptions& options, unsigned threads) {
  return static_cast<unsigned>(std::min<uint64_t>(AffordableTokens(options), threads));
}

Result<EncodedObjects> EncodeObjects(const PackPlan& plan, const PackOptions& options,
                                     unsigned threads, io::FileWriter* output) {
  return Encoder(plan, options, threads, output).Run();
}

}  // namespace qstore::store
