// SPDX-License-Identifier: Apache-2.0
#include "qstore/unpack.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/output_tree.h"
#include "io/safetensors.h"
#include "store/archive_file.h"
#include "store/file_stream.h"

namespace qstore {
namespace store {
namespace {

constexpr char kTensorsFile[] = "model.safetensors";

/// Writes files of a tree. A file is opened by its first write, since there may be more of them
/// than a process may have open.
class UnpackSink final : public FileSink {
 public:
  explicit UnpackSink(io::OutputTree* tree) : tree_(*tree) {}

  /// Announces a file, before anything is written to it.
  void Expect(uint32_t id, std::string_view path) { outputs_[id].path = path; }

  Status Write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) override {
    QSTORE_ASSIGN(io::OutputFile * output, Open(file));
    return output->WriteAt(offset, bytes);
  }
  Status Done(uint32_t file) override {
    QSTORE_ASSIGN(io::OutputFile * output, Open(file));
    return output->Finish();
  }

 private:
  struct Output {
    std::string path;
    io::OutputFile* file = nullptr;
  };

  Result<io::OutputFile*> Open(uint32_t id) {
    const std::lock_guard lock(mutex_);
    Output& output = outputs_.at(id);
    if (output.file == nullptr) {
      QSTORE_ASSIGN(output.file, tree_.Add(output.path));
    }
    return output.file;
  }

  std::mutex mutex_;
  io::OutputTree& tree_;
  std::map<uint32_t, Output> outputs_;
};

uint64_t TotalBytes(const ArchiveFile& archive, std::span<const StreamFile> files) {
  uint64_t total = 0;
  for (const StreamFile& file : files) {
    for (const uint32_t object : file.objects) total += archive.index().objects[object].byte_size;
  }
  return total;
}

Status Stream(const ArchiveFile& archive, std::span<const StreamFile> files,
              const UnpackOptions& options, UnpackSink* sink) {
  StreamOptions stream;
  stream.threads = base::ThreadCount(options.threads);
  stream.memory_limit = options.memory_limit;
  stream.progress = options.progress;
  stream.total_bytes = TotalBytes(archive, files);
  return StreamFiles(archive, files, stream, sink);
}

Result<UnpackReport> UnpackFiles(const ArchiveFile& archive, size_t variant,
                                 const UnpackOptions& options, UnpackSink* sink) {
  const format::Range range = archive.index().variants[variant].files;
  std::vector<StreamFile> files;
  UnpackReport report;
  for (uint32_t f = range.begin; f < range.end; ++f) {
    files.push_back(FileOfIndex(archive, f));
    sink->Expect(f, archive.index().files[f].path);
    report.bytes += archive.index().files[f].size;
  }
  report.files = files.size();
  QSTORE_TRY(Stream(archive, files, options, sink));
  return report;
}

// The tensors that match, laid out as a file of their own, and their objects by name.
Result<io::SafetensorsLayout> LayOutMatching(const Archive& archive, size_t variant,
                                             const std::string& pattern,
                                             std::map<std::string, uint32_t>* objects) {
  const VariantInfo info = archive.variant(variant);
  std::vector<io::SafetensorsTensor> tensors;
  for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(t);
    std::string name(tensor.name);
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
    QSTORE_TRY(archive.impl().headers().Check(static_cast<uint32_t>(tensor.file)));
    const format::Index& index = archive.impl().index();
    (*objects)[name] = index.parts[index.tensors[t].part];
    tensors.push_back({std::move(name), tensor.dtype, {tensor.shape.begin(), tensor.shape.end()}});
  }
  if (tensors.empty()) {
    return NotFound(archive.path().string() + ": variant '" + std::string(info.name) +
                    "' has no tensor whose name matches '" + pattern + "'");
  }
  return io::LayOutSafetensors(std::move(tensors), {{"format", "pt"}});
}

Result<UnpackReport> UnpackTensors(const Archive& archive, size_t variant,
                                   const UnpackOptions& options, UnpackSink* sink) {
  std::map<std::string, uint32_t> objects;
  QSTORE_ASSIGN(const io::SafetensorsLayout layout,
                LayOutMatching(archive, variant, options.tensors, &objects));
  StreamFile file;
  file.offset = layout.prefix.size();
  for (const io::SafetensorsTensor& tensor : layout.header.tensors) {
    file.objects.push_back(objects[tensor.name]);
  }
  sink->Expect(file.id, kTensorsFile);
  QSTORE_TRY(sink->Write(file.id, 0, std::as_bytes(std::span(layout.prefix))));
  QSTORE_TRY(Stream(archive.impl(), {&file, 1}, options, sink));
  return UnpackReport{1, layout.file_size};
}

}  // namespace
}  // namespace store

namespace {

Result<UnpackReport> UnpackUnguarded(const Archive& archive, std::string_view variant,
                                     const std::filesystem::path& directory,
                                     const UnpackOptions& options) {
  QSTORE_ASSIGN(const size_t index, archive.FindVariant(variant));
  QSTORE_ASSIGN(auto tree, io::OutputTree::Create(directory, {options.overwrite, options.sync}));
  store::UnpackSink sink(&tree);
  QSTORE_ASSIGN(UnpackReport report, options.tensors.empty()
                                         ? store::UnpackFiles(archive.impl(), index, options, &sink)
                                         : store::UnpackTensors(archive, index, options, &sink));
  QSTORE_TRY(tree.Commit());
  return report;
}

}  // namespace

Result<UnpackReport> Unpack(const Archive& archive, std::string_view variant,
                            const std::filesystem::path& directory, const UnpackOptions& options) {
  return base::Guarded([&] { return UnpackUnguarded(archive, variant, directory, options); });
}

}  // namespace qstore
