// SPDX-License-Identifier: Apache-2.0
#include "qstore/archive.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/registry.h"
#include "io/file.h"
#include "store/archive_file.h"
#include "store/chunk_batch.h"
#include "store/running_read.h"

namespace qstore {
namespace {

uint64_t SizeOf(const format::Index& index, const format::TensorEntry& tensor) {
  return index.objects[index.parts[tensor.part]].byte_size;
}

}  // namespace

Archive::Archive(std::unique_ptr<store::ArchiveFile> impl) : impl_(std::move(impl)) {}
Archive::~Archive() = default;
Archive::Archive(Archive&&) noexcept = default;
Archive& Archive::operator=(Archive&&) noexcept = default;

Result<Archive> Archive::Open(const std::filesystem::path& path, const OpenOptions& options) {
  return base::Guarded([&]() -> Result<Archive> {
    // A writer may have changed it between two looks at it: it is there all the time.
    constexpr int kTries = 4;
    for (int tries = 1;; ++tries) {
      QSTORE_ASSIGN(auto file, io::SourceFile::Open(path));
      auto impl = store::ArchiveFile::Open(std::move(file), path, options);
      if (impl.ok()) return Archive(std::move(*impl));
      const bool has_changed = impl.status().code() == ErrorCode::kSourceChanged;
      if (!has_changed || tries == kTries) return impl.status();
    }
  });
}

Result<Archive> Archive::Open(std::shared_ptr<const ByteSource> source, std::string name,
                              const OpenOptions& options) {
  return base::Guarded([&]() -> Result<Archive> {
    QSTORE_ASSIGN(auto impl, store::ArchiveFile::Open(std::move(source), std::move(name), options));
    return Archive(std::move(impl));
  });
}

const std::filesystem::path& Archive::path() const { return impl_->path(); }
std::string Archive::identity() const {
  return impl_->source().identity() + "\n" + std::to_string(impl_->footer().index_checksum);
}
uint16_t Archive::format_version() const { return impl_->header().format_version; }
uint64_t Archive::stored_bytes() const { return impl_->footer().archive_size; }
uint64_t Archive::bytes_read() const { return impl_->bytes_read(); }
size_t Archive::variant_count() const { return impl_->index().variants.size(); }

VariantInfo Archive::variant(size_t index) const { return impl_->variants()[index]; }

Result<size_t> Archive::FindVariant(std::string_view name) const {
  const auto& variants = impl_->index().variants;
  for (size_t v = 0; v < variants.size(); ++v) {
    if (variants[v].name == name) return v;
  }
  constexpr size_t kMostNamed = 20;
  std::string names;
  for (size_t v = 0; v < std::min(variants.size(), kMostNamed); ++v) {
    names += (v == 0 ? "" : ", ") + std::string(variants[v].name);
  }
  if (variants.size() > kMostNamed) {
    names += " and " + std::to_string(variants.size() - kMostNamed) + " more";
  }
  return NotFound(path().string() + ": no variant is named '" + std::string(name) +
                  "'; there are: " + names);
}

FileInfo Archive::file(size_t index) const {
  const format::FileEntry& entry = impl_->index().files[index];
  const container::Container* container = container::FindContainer(entry.container);
  std::optional<std::array<uint8_t, 32>> sha256;
  if (!impl_->index().sha256.empty() && !entry.Has(FileFlag::kDirectory)) {
    sha256 = impl_->index().sha256[index];
  }
  return {entry.path,
          entry.size,
          entry.digest,
          container == nullptr ? std::string_view() : container->name(),
          entry.Has(FileFlag::kDirectory),
          entry.Has(FileFlag::kExecutable),
          sha256};
}

TensorInfo Archive::tensor(size_t index) const {
  const format::Index& tables = impl_->index();
  const format::TensorEntry& entry = tables.tensors[index];
  const auto after = std::upper_bound(
      tables.files.begin(), tables.files.end(), index,
      [](size_t tensor, const format::FileEntry& file) { return tensor < file.tensors.begin; });
  // Files without tensors begin where the next one begins: the last of them holds the tensor.
  return {entry.name, entry.dtype, tables.shape(entry), SizeOf(tables, entry),
          static_cast<size_t>(after - tables.files.begin()) - 1};
}

Result<size_t> Archive::FindTensor(size_t variant, std::string_view name) const {
  const format::Index& tables = impl_->index();
  const format::VariantEntry& entry = tables.variants[variant];
  for (uint32_t f = entry.files.begin; f < entry.files.end; ++f) {
    const auto begin = tables.tensors.begin() + tables.files[f].tensors.begin;
    const auto end = tables.tensors.begin() + tables.files[f].tensors.end;
    const auto found = std::lower_bound(
        begin, end, name, [](const format::TensorEntry& tensor, std::string_view value) {
          return tensor.name < value;
        });
    if (found != end && found->name == name) {
      return static_cast<size_t>(found - tables.tensors.begin());
    }
  }
  return NotFound(path().string() + ": variant '" + std::string(entry.name) +
                  "' has no tensor named '" + std::string(name) + "'");
}

Result<uint64_t> Archive::RowsByteSize(size_t tensor, uint64_t row_begin, uint64_t row_end) const {
  const size_t count = impl_->index().tensors.size();
  if (tensor >= count) {
    return InvalidArgument("there is no tensor number " + std::to_string(tensor) + " of " +
                           std::to_string(count));
  }
  const TensorInfo info = this->tensor(tensor);
  if (row_begin == 0 && row_end == kAllRows) return info.byte_size;
  const auto invalid = [&](const char* rule) {
    return InvalidArgument("tensor '" + std::string(info.name) + "': " + rule);
  };
  if (info.shape.empty()) return invalid("a scalar has no rows");
  const uint64_t rows = info.shape[0];
  if (row_end == kAllRows) row_end = rows;
  if (row_begin > row_end || row_end > rows) return invalid("there are no such rows");
  if (rows == 0) return uint64_t{0};
  if (info.byte_size % rows != 0) return invalid("its rows are no whole number of bytes");
  return info.byte_size / rows * (row_end - row_begin);
}

Status Archive::Read(std::span<const ReadRequest> requests, unsigned threads,
                     const ProgressCallback& progress) const {
  return base::Guarded([&]() -> Status {
    QSTORE_ASSIGN(auto wanted, store::TargetsOf(*this, requests));
    return ReadTargets(std::move(wanted), threads, progress);
  });
}

Status Archive::ReadFile(size_t file, uint64_t begin, std::span<std::byte> out,
                         unsigned threads) const {
  return base::Guarded([&] { return ReadParts(file, begin, out, threads); });
}

Status Archive::ReadParts(size_t file, uint64_t begin, std::span<std::byte> out,
                          unsigned threads) const {
  // There may be more parts than memory has room for.
  constexpr size_t kMostTargets = 65536;
  const format::Index& tables = impl_->index();
  const format::FileEntry& entry = tables.files[file];
  if (begin > entry.size || out.size() > entry.size - begin) {
    return InvalidArgument("file '" + std::string(entry.path) + "' has " +
                           std::to_string(entry.size) + " bytes, asked for were " +
                           std::to_string(out.size()) + " from " + std::to_string(begin));
  }
  store::ReadTargets wanted;
  for (uint32_t p = entry.parts.begin; p < entry.parts.end && !out.empty(); ++p) {
    const uint64_t size = tables.objects[tables.parts[p]].byte_size;
    if (begin < size) {
      const auto here = static_cast<size_t>(std::min<uint64_t>(size - begin, out.size()));
      wanted.targets.push_back({tables.parts[p], begin, out.first(here)});
      out = out.subspan(here);
      begin = 0;
    } else {
      begin -= size;
    }
    if (wanted.targets.size() < kMostTargets) continue;
    QSTORE_TRY(ReadTargets(std::exchange(wanted, {}), threads, {}));
  }
  return ReadTargets(std::move(wanted), threads, {});
}

Status Archive::ReadTargets(store::ReadTargets wanted, unsigned threads,
                            const ProgressCallback& progress) const {
  QSTORE_ASSIGN(const auto read,
                store::RunningRead::Make(*impl_, std::move(wanted), base::ThreadCount(threads)));
  std::vector<std::unique_ptr<store::ChunkBatch>> batches(read->threads());
  const Status status = base::RunPipeline(
      read->unit_count(), {read->threads(), size_t{4} * read->threads()},
      [&](const base::PipelineItem& item) {
        return read->RunUnit(item.index, &batches[item.worker]);
      },
      [&](const base::PipelineItem& item) {
        if (!progress || progress({read->BytesOf(item.index + 1), read->byte_size()}))
          return Status();
        return Cancelled();
      });
  for (auto& batch : batches) {
    if (batch != nullptr) impl_->GiveBack(std::move(batch));
  }
  return status;
}

Status Archive::ReadTensor(size_t tensor, std::span<std::byte> out, unsigned threads) const {
  const ReadRequest request{tensor, out};
  return Read({&request, 1}, threads);
}

Status Archive::ReadRows(size_t tensor, uint64_t row_begin, uint64_t row_end,
                         std::span<std::byte> out, unsigned threads) const {
  const ReadRequest request{tensor, out, row_begin, row_end};
  return Read({&request, 1}, threads);
}

}  // namespace qstore
