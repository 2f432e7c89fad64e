// SPDX-License-Identifier: Apache-2.0
#include "store/archive_file.h"

#include <utility>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"

namespace qstore::store {

Result<std::unique_ptr<ArchiveFile>> ArchiveFile::Open(const std::filesystem::path& path,
                                                       const OpenOptions& options) {
  std::unique_ptr<ArchiveFile> archive(new ArchiveFile());
  archive->options_ = options;
  QSTORE_ASSIGN(archive->file_, io::SourceFile::Open(path));
  const auto parse = [&]() -> Status {
    const uint64_t size = archive->file_->size();
    if (size < format::Header::kEncodedSize + format::Footer::kEncodedSize) {
      return Corrupt("not a qstore archive (" + std::to_string(size) + " bytes are too few)");
    }
    std::byte ends[format::Header::kEncodedSize + format::Footer::kEncodedSize];
    const auto header = std::span(ends).first(format::Header::kEncodedSize);
    const auto footer = std::span(ends).subspan(format::Header::kEncodedSize);
    QSTORE_TRY(archive->Read(0, header));
    QSTORE_ASSIGN(archive->header_, format::Header::DecodeFrom(header));
    QSTORE_TRY(archive->Read(size - footer.size(), footer));
    QSTORE_ASSIGN(archive->footer_, format::Footer::DecodeFrom(footer, size));
    std::vector<std::byte> stored(archive->footer_.index_stored_size);
    QSTORE_TRY(archive->Read(archive->footer_.index_offset, stored));
    QSTORE_ASSIGN(archive->index_, format::DecodeIndex(stored, archive->footer_));
    return {};
  };
  QSTORE_TRY(parse().WithContext(path.string()));
  return archive;
}

Status ArchiveFile::Read(uint64_t offset, std::span<std::byte> out) const {
  if (options_.before_read) options_.before_read(out.size());
  bytes_read_.fetch_add(out.size(), std::memory_order_relaxed);
  return file_->Read(offset, out);
}

chain::ObjectSpec ArchiveFile::spec(uint32_t object) const {
  const format::ObjectEntry& entry = index_.objects[object];
  chain::ObjectSpec spec;
  spec.dtype = entry.dtype;
  spec.byte_size = entry.byte_size;
  spec.row_elems = entry.row_elems;
  spec.chunk_elems = entry.chunk_elems;
  spec.relation = entry.relation;
  spec.parent_dtype = entry.parent_dtype;
  return spec;
}

bool ArchiveFile::NeedsParents(uint32_t object, uint32_t chunk) const {
  const ChunkCodec codec = this->chunk(object, chunk).codec;
  return index_.objects[object].has_base() &&
         (codec == ChunkCodec::kBins || codec == ChunkCodec::kCastDelta);
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

std::unique_ptr<ChunkBatch> ArchiveFile::TakeBatch() const {
  const std::lock_guard lock(mutex_);
  if (batches_.empty()) return std::make_unique<ChunkBatch>(this);
  auto batch = std::move(batches_.back());
  batches_.pop_back();
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
