// SPDX-License-Identifier: Apache-2.0
#include "store/archive_file.h"

#include <algorithm>
#include <utility>

#include "base/isa.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/registry.h"

namespace qstore::store {
namespace {

// Read together with the footer where each read takes long to begin: most indices are smaller.
constexpr uint64_t kEndReadAhead = uint64_t{64} << 10;
// Of larger ones; each further read takes as much as all before.
constexpr size_t kFirstIndexRead = size_t{1} << 20;

}  // namespace

Result<std::unique_ptr<ArchiveFile>> ArchiveFile::Open(std::shared_ptr<const ByteSource> source,
                                                       std::filesystem::path path,
                                                       const OpenOptions& options) {
  std::unique_ptr<ArchiveFile> archive(new ArchiveFile());
  archive->source_ = std::move(source);
  archive->path_ = std::move(path);
  archive->options_ = options;
  const Status status = archive->ReadIndex();
  if (!status.ok()) return archive->Explained(status.WithContext(archive->path_.string()));
  archive->headers_ = std::make_unique<const HeaderCheck>(*archive);
  return archive;
}

Status ArchiveFile::ReadIndex() {
  constexpr size_t kHeader = format::Header::kEncodedSize;
  constexpr size_t kFooter = format::Footer::kEncodedSize;
  if (source_->size() < kHeader + kFooter) {
    return Corrupt("not a qstore archive (" + std::to_string(source_->size()) +
                   " bytes are too few)");
  }
  std::byte header[kHeader];
  QSTORE_TRY(Read(0, header));
  QSTORE_ASSIGN(header_, format::Header::DecodeFrom(header));
  QSTORE_ASSIGN(const uint64_t size, header_.ArchiveSize(source_->size()));
  if (size < kHeader + kFooter) return Corrupt("a root of the header ends before the payloads");
  const uint64_t end = options_.read_ahead == 0 ? kFooter : kEndReadAhead;
  std::vector<std::byte> last(static_cast<size_t>(std::min(end, size - kHeader)));
  QSTORE_TRY(Read(size - last.size(), last));
  QSTORE_ASSIGN(footer_, format::Footer::DecodeFrom(std::span(last).last(kFooter), size));
  // What of the index came with the footer.
  const auto known = std::span(last).first(last.size() - kFooter);
  if (footer_.index_stored_size > options_.max_memory) {
    return LimitExceeded("the index is stored in " + std::to_string(footer_.index_stored_size) +
                         " bytes, more than the " + std::to_string(options_.max_memory) +
                         " of memory allowed (max_memory)");
  }
  QSTORE_ASSIGN(PageMemory memory,
                PageMemory::Allocate(static_cast<size_t>(footer_.index_stored_size)));
  const std::span<std::byte> stored = memory.bytes();
  const size_t common = std::min(stored.size(), known.size());
  const auto unknown = stored.first(stored.size() - common);
  // The memory is touched as the bytes come: a source may not have as many as it says.
  for (size_t at = 0, next = kFirstIndexRead; at < unknown.size(); next = at) {
    const auto part = unknown.subspan(at, std::min(next, unknown.size() - at));
    QSTORE_TRY(Read(footer_.index_offset + at, part));
    at += part.size();
  }
  std::copy(known.end() - static_cast<ptrdiff_t>(common), known.end(),
            stored.end() - static_cast<ptrdiff_t>(common));
  QSTORE_ASSIGN(index_, format::DecodeIndex(
                            stored, footer_, options_.max_memory,
                            header_.has_root() ? format::Gaps::kAllowed : format::Gaps::kNone));
  index_memory_ = index_.memory();
  for (const format::FileEntry& file : index_.files) {
    if (file.container == kNoContainer || container::FindContainer(file.container) != nullptr)
      continue;
    return {ErrorCode::kUnsupportedFeature,
            "container " + std::to_string(file.container) + " is unknown here"};
  }
  QSTORE_ASSIGN(graph_, ObjectGraph::Make(index_, MemoryLeft()));
  index_memory_ += graph_.memory();
  for (const format::VariantEntry& entry : index_.variants) variants_.push_back(InfoOf(entry));
  has_rows_ = std::any_of(index_.chunks.begin(), index_.chunks.end(),
                          [](const auto& chunk) { return chunk.codec == ChunkCodec::kRows; });
  return {};
}

VariantInfo ArchiveFile::InfoOf(const format::VariantEntry& entry) const {
  VariantInfo info;
  info.name = entry.name;
  info.first_file = entry.files.begin;
  info.file_count = entry.files.size();
  for (uint32_t f = entry.files.begin; f < entry.files.end; ++f) {
    info.source_bytes += index_.files[f].size;
    if (f == entry.files.begin) info.first_tensor = index_.files[f].tensors.begin;
    info.tensor_count += index_.files[f].tensors.size();
  }
  return info;
}

Status ArchiveFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (out.empty()) return {};
  if (options_.before_read) options_.before_read(out.size());
  bytes_read_.fetch_add(out.size(), std::memory_order_relaxed);
  return source_->Read(offset, out);
}

Status ArchiveFile::Explained(Status damage) const {
  if (damage.code() != ErrorCode::kCorrupt) return damage;
  const Status change = source_->CheckUnchanged();
  return change.code() == ErrorCode::kSourceChanged ? change : damage;
}

bool ArchiveFile::NeedsParents(uint32_t object, uint32_t chunk) const {
  return graph_.bound(object) != nullptr && this->chunk(object, chunk).codec == ChunkCodec::kScheme;
}

std::string ArchiveFile::Describe(uint32_t object) const {
  for (const format::VariantEntry& variant : index_.variants) {
    for (uint32_t f = variant.files.begin; f < variant.files.end; ++f) {
      const format::FileEntry& file = index_.files[f];
      const std::string of = " of variant '" + std::string(variant.name) + "'";
      for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
        const format::TensorEntry& tensor = index_.tensors[t];
        if (index_.parts[tensor.part] == object) {
          return "tensor '" + std::string(tensor.name) + "'" + of;
        }
      }
      for (uint32_t p = file.parts.begin; p < file.parts.end; ++p) {
        if (index_.parts[p] != object) continue;
        const bool is_header = file.container != kNoContainer;
        return (is_header ? "header of file '" : "file '") + std::string(file.path) + "'" + of;
      }
    }
  }
  return "object " + std::to_string(object);
}

std::unique_ptr<ChunkBatch> ArchiveFile::TakeBatch(ReadAhead* ahead) const {
  const std::lock_guard lock(mutex_);
  if (batches_.empty()) batches_.push_back(std::make_unique<ChunkBatch>(this));
  auto batch = std::move(batches_.back());
  batches_.pop_back();
  batch->ReadBy(ahead);
  return batch;
}

uint64_t ArchiveFile::MemoryLeft() const {
  return options_.max_memory - std::min(options_.max_memory, index_memory_);
}

uint64_t ArchiveFile::ReadAheadMemory() const {
  return options_.read_ahead == 0 ? 0 : options_.max_memory / 4;
}

Status ArchiveFile::BeyondMemory(const std::string& what, uint64_t bytes) const {
  return LimitExceeded(path_.string() + ": " + what + " takes " + std::to_string(bytes) +
                       " bytes of memory; the index leaves " + std::to_string(MemoryLeft()) +
                       " of the " + std::to_string(options_.max_memory) +
                       " allowed (max_memory, --max-memory)");
}

void ArchiveFile::GiveBack(std::unique_ptr<ChunkBatch> batch) const noexcept {
  // Chunks of the usual sizes leave far less.
  constexpr uint64_t kMostKept = uint64_t{32} << 20;
  if (batch->scratch_bytes() > kMostKept) return;
  const std::lock_guard lock(mutex_);
  static_cast<void>(base::Guarded([&] {
    batches_.push_back(std::move(batch));
    return Status();
  }));
}

}  // namespace qstore::store

namespace qstore {

std::string_view InstructionSet() { return base::IsaName(base::ActiveIsa()); }

}  // namespace qstore
