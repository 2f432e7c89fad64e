// SPDX-License-Identifier: Apache-2.0
#include "qstore/verify.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/model_files.h"
#include "format/names.h"
#include "io/file.h"
#include "store/archive_file.h"
#include "store/file_stream.h"

namespace qstore {
namespace store {
namespace {

/// Compares what is decoded with the files that are there, if any are given.
class CompareSink final : public FileSink {
 public:
  void Expect(uint32_t file, std::filesystem::path source) {
    originals_[file].source = std::move(source);
  }

  Status Write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) override {
    const auto at = originals_.find(file);
    if (at == originals_.end() || bytes.empty()) return {};
    QSTORE_ASSIGN(const auto original, Open(&at->second));
    std::vector<std::byte> there(bytes.size());
    QSTORE_TRY(original->Read(offset, there));
    if (std::memcmp(there.data(), bytes.data(), bytes.size()) == 0) return {};
    const auto differs = std::mismatch(there.begin(), there.end(), bytes.begin());
    const uint64_t first = offset + static_cast<uint64_t>(differs.first - there.begin());
    return Mismatch(at->second.source.string() + ": differs from the archive at offset " +
                    std::to_string(first));
  }

  Status Done(uint32_t file) override {
    const auto at = originals_.find(file);
    if (at == originals_.end()) return {};
    QSTORE_ASSIGN(const auto original, Open(&at->second));
    QSTORE_TRY(original->CheckUnchanged());
    const std::lock_guard lock(at->second.mutex);
    at->second.file.reset();
    return {};
  }

 private:
  struct Original {
    std::filesystem::path source;
    std::mutex mutex;
    std::shared_ptr<const io::SourceFile> file;
  };

  static Result<std::shared_ptr<const io::SourceFile>> Open(Original* original) {
    const std::lock_guard lock(original->mutex);
    if (original->file == nullptr) {
      QSTORE_ASSIGN(original->file, io::SourceFile::Open(original->source));
    }
    return original->file;
  }

  std::map<uint32_t, Original> originals_;  // Complete before the first Write.
};

Status MatchFlags(const io::ModelFile& there, const format::FileEntry& file) {
  if (there.is_directory != file.Has(FileFlag::kDirectory)) {
    return Mismatch(there.source.string() + ": is a directory here or in the archive, not in both");
  }
  if (there.is_executable != file.Has(FileFlag::kExecutable)) {
    return Mismatch(there.source.string() + ": is executable here or in the archive, not in both");
  }
  return {};
}

// Names and sizes; what differs inside the files is found when they are decoded.
Status MatchFiles(const ArchiveFile& archive, const format::VariantEntry& variant,
                  const VariantSource& given, CompareSink* sink, uint64_t* bytes) {
  QSTORE_ASSIGN(auto there, container::ListModelFiles(given.path, given.files));
  std::sort(there.begin(), there.end(),
            [](const auto& a, const auto& b) { return format::PathLess(a.path, b.path); });
  size_t next = 0;
  for (uint32_t f = variant.files.begin; f < variant.files.end; ++f, ++next) {
    const format::FileEntry& file = archive.index().files[f];
    if (next == there.size() || format::PathLess(file.path, there[next].path)) {
      return Mismatch((given.path / file.path).string() + ": is in the archive, but not here");
    }
    if (there[next].path != file.path) break;
    QSTORE_TRY(MatchFlags(there[next], file));
    if (there[next].is_directory) continue;
    QSTORE_ASSIGN(const auto opened, io::SourceFile::Open(there[next].source));
    if (opened->size() != file.size) {
      return Mismatch(there[next].source.string() + ": has " + std::to_string(opened->size()) +
                      " bytes, in the archive " + std::to_string(file.size));
    }
    sink->Expect(f, there[next].source);
    *bytes += file.size;
  }
  if (next == there.size()) return {};
  return Mismatch(there[next].source.string() + ": is here, but not in the archive");
}

// Parents that dropped variants have left.
std::vector<uint32_t> ObjectsOfNoFile(const format::Index& index) {
  const std::vector<bool> of_files = ObjectsOfFiles(index);
  std::vector<uint32_t> objects;
  for (uint32_t id = 0; id < of_files.size(); ++id) {
    if (!of_files[id]) objects.push_back(id);
  }
  return objects;
}

uint64_t ByteSize(const format::Index& index, std::span<const uint32_t> objects) {
  uint64_t bytes = 0;
  for (const uint32_t id : objects) bytes += index.objects[id].byte_size;
  return bytes;
}

Result<VerifyReport> VerifyAll(const Archive& archive, std::span<const VariantSource> originals,
                               const VerifyOptions& options) {
  const ArchiveFile& file = archive.impl();
  CompareSink sink;
  VerifyReport report;
  std::set<size_t> compared;
  for (const VariantSource& given : originals) {
    QSTORE_ASSIGN(const size_t v, archive.FindVariant(given.name));
    if (!compared.insert(v).second) {
      return InvalidArgument("variant '" + given.name + "' is given twice");
    }
    QSTORE_TRY(MatchFiles(file, file.index().variants[v], given, &sink, &report.compared_bytes));
  }
  report.files = file.index().files.size();
  for (const format::FileEntry& entry : file.index().files) {
    if (__builtin_add_overflow(report.bytes, entry.size, &report.bytes) ||
        report.bytes > options.max_bytes) {
      return LimitExceeded(archive.path().string() + ": its files have more than the " +
                           std::to_string(options.max_bytes) +
                           " bytes allowed (max_bytes, --max-bytes)");
    }
  }
  StreamOptions stream;
  stream.threads = base::ThreadCount(options.threads);
  stream.sink_bytes = (report.files + 1) * sizeof(StreamFile);
  stream.progress = options.progress;
  const std::vector<uint32_t> rest = ObjectsOfNoFile(file.index());
  stream.total_bytes = report.bytes + ByteSize(file.index(), rest);
  if (stream.sink_bytes > file.MemoryLeft()) {
    return file.BeyondMemory("the list of files", stream.sink_bytes);
  }
  std::vector<StreamFile> files;
  files.reserve(report.files + 1);
  for (uint32_t f = 0; f < report.files; ++f) files.push_back(FileOfIndex(file, f));
  if (!rest.empty()) files.push_back({static_cast<uint32_t>(report.files), rest, 0});
  QSTORE_TRY(StreamFiles(file, files, stream, &sink));
  return report;
}

}  // namespace
}  // namespace store

Result<VerifyReport> Verify(const Archive& archive, std::span<const VariantSource> originals,
                            const VerifyOptions& options) {
  return base::Guarded([&] { return store::VerifyAll(archive, originals, options); });
}

}  // namespace qstore
