// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/layout.h"
#include "io/file.h"
#include "io/growing_file.h"
#include "io/output_file.h"
#include "qstore/change.h"
#include "store/archive_file.h"
#include "store/pack_index.h"
#include "store/select_objects.h"

namespace qstore {
namespace store {
namespace {

namespace fs = std::filesystem;

// Bytes that lie end to end and are read at once; a payload may be longer.
constexpr uint64_t kReadBytes = uint64_t{1} << 20;

/// Copies payloads in the order of the new archive.
class Copier {
 public:
  Copier(const ArchiveFile& archive, const CompactOptions& options, io::OutputFile* output)
      : archive_(archive), options_(options), output_(*output) {
    order_ = OrderOfNewArchive(archive_.index());
    const std::vector<bool> all(archive_.index().variants.size(), true);
    index_ = SelectObjects(archive_.index(), all, order_);
    for (const format::ChunkEntry& chunk : index_.chunks) total_bytes_ += chunk.stored_size;
  }

  /// The tables of what was copied.
  Result<format::Index> Run() {
    std::vector<std::byte> header;
    format::Header().EncodeTo(&header);
    QSTORE_TRY(output_.Append(header));
    uint32_t object = 0;
    for (uint32_t chunk = 0; chunk < index_.chunks.size();) {
      const uint32_t end = EndOfRead(chunk);
      QSTORE_TRY(Read(chunk, end));
      for (; chunk < end; ++chunk) {
        while (EndOf(index_.objects[object]) <= chunk) ++object;
        QSTORE_TRY(Check(object, chunk));
        Move(&index_.chunks[chunk]);
      }
      QSTORE_TRY(output_.Append(payloads_));
      const bool goes_on = !options_.progress || options_.progress({CopiedBytes(), total_bytes_});
      if (!goes_on) return Cancelled();
    }
    return std::move(index_);
  }

 private:
  static uint32_t EndOf(const format::ObjectEntry& object) {
    return object.first_chunk + object.chunk_count;
  }

  // Behind the chunks that are read together with this one.
  uint32_t EndOfRead(uint32_t first) const {
    const auto end_of = [this](uint32_t chunk) {
      return index_.chunks[chunk].offset + index_.chunks[chunk].stored_size;
    };
    uint32_t end = first + 1;
    while (end < index_.chunks.size() && index_.chunks[end].offset == end_of(end - 1) &&
           end_of(end) - index_.chunks[first].offset <= kReadBytes) {
      ++end;
    }
    return end;
  }

  Status Read(uint32_t first, uint32_t end) {
    const format::ChunkEntry& last = index_.chunks[end - 1];
    begin_ = index_.chunks[first].offset;
    payloads_.resize(static_cast<size_t>(last.offset + last.stored_size - begin_));
    return archive_.Read(begin_, payloads_);
  }

  Status Check(uint32_t object, uint32_t number) const {
    const format::ChunkEntry& chunk = index_.chunks[number];
    const auto payload = std::span(payloads_).subspan(chunk.offset - begin_, chunk.stored_size);
    if (base::Hash64(payload) == chunk.checksum) return {};
    return archive_.Explained(
        Corrupt(archive_.path().string() + ": " + archive_.Describe(order_[object]) + ", chunk " +
                std::to_string(number - index_.objects[object].first_chunk) + " at offset " +
                std::to_string(chunk.offset) + ": checksum differs"));
  }

  void Move(format::ChunkEntry* chunk) { chunk->offset = output_.size() + chunk->offset - begin_; }

  uint64_t CopiedBytes() const { return output_.size() - format::Header::kEncodedSize; }

  const ArchiveFile& archive_;
  const CompactOptions& options_;
  io::OutputFile& output_;
  std::vector<uint32_t> order_;
  format::Index index_;  // Of the new archive; of chunks that were not copied, the old offsets.
  uint64_t total_bytes_ = 0;
  uint64_t begin_ = 0;  // In the archive, of what is in payloads_.
  std::vector<std::byte> payloads_;
};

// Writes it to `output`. With `like`, the file gets the permissions of that one.
Result<CompactReport> WriteCompact(const ArchiveFile& archive, const fs::path& output,
                                   const std::optional<fs::path>& like,
                                   const CompactOptions& options) {
  const bool overwrite = options.overwrite || like.has_value();
  QSTORE_ASSIGN(const auto file, io::OutputFile::Create(output, {overwrite, options.sync}));
  if (like) QSTORE_TRY(file->TakePermissions(*like));
  QSTORE_ASSIGN(const format::Index index, Copier(archive, options, file.get()).Run());
  QSTORE_ASSIGN(const std::vector<std::byte> end, EncodeEnd(index, file->size()));
  QSTORE_TRY(file->Append(end));
  CompactReport report{archive.footer().archive_size, file->size()};
  QSTORE_TRY(file->Commit());
  return report;
}

// The lock keeps other writers away until the new file has the name; they look at the name then.
Result<CompactReport> CompactInPlace(const fs::path& path, const CompactOptions& options) {
  QSTORE_ASSIGN(const auto file, io::GrowingFile::Open(path));
  QSTORE_ASSIGN(const auto archive, ArchiveFile::Open(file, path, OpenOptions()));
  if (!archive->header().has_root()) {
    return CompactReport{archive->footer().archive_size, archive->footer().archive_size};
  }
  // What a link leads to is replaced, not the link.
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (error) return IoError(path.string() + ": cannot resolve: " + error.message());
  return WriteCompact(*archive, target, target, options);
}

Result<CompactReport> RunCompact(const fs::path& path, const CompactOptions& options) {
  if (options.output.empty()) return CompactInPlace(path, options);
  std::error_code ignored;
  if (fs::equivalent(path, options.output, ignored)) {
    return InvalidArgument(options.output.string() + ": the output is the archive");
  }
  QSTORE_ASSIGN(auto file, io::SourceFile::Open(path));
  QSTORE_ASSIGN(const auto archive, ArchiveFile::Open(std::move(file), path, OpenOptions()));
  return WriteCompact(*archive, options.output, std::nullopt, options);
}

}  // namespace
}  // namespace store

Result<CompactReport> Compact(const std::filesystem::path& archive, const CompactOptions& options) {
  return base::Guarded([&] { return store::RunCompact(archive, options); });
}

}  // namespace qstore
