// SPDX-License-Identifier: Apache-2.0
#include "store/archive_file.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "store/whole_parents.h"

namespace qstore::store {
namespace {

// Read together with the footer where each read takes long to begin: most indices are smaller.
constexpr uint64_t kEndReadAhead = uint64_t{64} << 10;

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
  const uint64_t size = source_->size();
  if (size < kHeader + kFooter) {
    return Corrupt("not a qstore archive (" + std::to_string(size) + " bytes are too few)");
  }
  std::byte header[kHeader];
  QSTORE_TRY(Read(0, header));
  QSTORE_ASSIGN(header_, format::Header::DecodeFrom(header));
  const uint64_t end = options_.read_ahead == 0 ? kFooter : kEndReadAhead;
  std::vector<std::byte> last(static_cast<size_t>(std::min(end, size - kHeader)));
  QSTORE_TRY(Read(size - last.size(), last));
  QSTORE_ASSIGN(footer_, format::Footer::DecodeFrom(std::span(last).last(kFooter), size));
  // What of the index came with the footer.
  const auto known = std::span(last).first(last.size() - kFooter);
  std::vector<std::byte> stored(footer_.index_stored_size);
  const size_t common = std::min(stored.size(), known.size());
  QSTORE_TRY(Read(footer_.index_offset, std::span(stored).first(stored.size() - common)));
  std::copy(known.end() - static_cast<ptrdiff_t>(common), known.end(),
            stored.end() - static_cast<ptrdiff_t>(common));
  QSTORE_ASSIGN(index_, format::DecodeIndex(stored, footer_));
  return {};
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

chain::ObjectSpec ArchiveFile::spec(uint32_t object) const {
  const format::ObjectEntry& entry = index_.objects[object];
  return SpecOf(entry, format::ParentsOf(entry, index_.objects));
}

bool ArchiveFile::NeedsParents(uint32_t object, uint32_t chunk) const {
  const ChunkCodec codec = this->chunk(object, chunk).codec;
  return index_.objects[object].has_base() &&
         (codec == ChunkCodec::kBins || codec == ChunkCodec::kCastDelta ||
          codec == ChunkCodec::kGptqFloats || codec == ChunkCodec::kGptqIntegers);
}

unsigned ArchiveFile::ChunkedAncestors(uint32_t object) const {
  unsigned count = 0;
  for (; index_.objects[object].has_chunked_base(); object = index_.objects[object].base) ++count;
  return count;
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
        const bool is_header = file.kind == FileKind::kSafetensors;
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

void ArchiveFile::GiveBack(std::unique_ptr<ChunkBatch> batch) const {
  const std::lock_guard lock(mutex_);
  batches_.push_back(std::move(batch));
}

}  // namespace qstore::store

namespace qstore {

std::string_view InstructionSet() { return codec::ActiveKernels().name; }

}  // namespace qstore
