// SPDX-License-Identifier: Apache-2.0
#include "qstore/unpack.h"

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/file.h"
#include "io/posix_error.h"
#include "io/safetensors.h"
#include "store/archive_file.h"
#include "store/file_stream.h"

namespace qstore {
namespace store {
namespace {

namespace fs = std::filesystem;

constexpr char kTensorsFile[] = "model.safetensors";

/// Where files are written before they have their place: a directory that does not exist is made
/// under another name beside it; into one that exists they go under names of their own.
class Staging {
 public:
  static Result<std::unique_ptr<Staging>> Make(const fs::path& directory,
                                               const UnpackOptions& options) {
    std::unique_ptr<Staging> staging(new Staging());
    std::error_code error;
    const fs::path absolute = fs::absolute(directory, error).lexically_normal();
    if (error) return io::SystemError(directory, "cannot resolve", error.value());
    staging->target_ = absolute.has_filename() ? absolute : absolute.parent_path();
    const fs::file_status status = fs::status(staging->target_, error);
    if (fs::exists(status)) {
      if (!fs::is_directory(status)) {
        return AlreadyExists(directory.string() + ": exists and is no directory");
      }
      const bool is_empty = fs::is_empty(staging->target_, error);
      if (error) return io::SystemError(directory, "cannot list", error.value());
      if (!is_empty && !options.overwrite) {
        return AlreadyExists(directory.string() + ": the directory is not empty");
      }
      staging->root_ = staging->target_;
      return staging;
    }
    fs::path beside = staging->target_.parent_path();
    while (beside.has_relative_path() && !fs::exists(beside, error)) beside = beside.parent_path();
    static std::atomic<uint64_t> counter{0};
    const std::string number = std::to_string(::getpid()) + "-" + std::to_string(counter++);
    staging->root_ = beside / (".qstore-" + number + ".unpack");
    if (!fs::create_directory(staging->root_, error)) {
      return io::SystemError(directory, "cannot create", error ? error.value() : EEXIST);
    }
    return staging;
  }

  ~Staging() {
    std::error_code ignored;
    if (IsApart()) fs::remove_all(root_, ignored);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const fs::path& root() const { return root_; }

  /// Gives the directory its name.
  Status Commit(bool sync) {
    if (!IsApart()) return {};
    std::error_code error;
    fs::create_directories(target_.parent_path(), error);
    if (!error) fs::rename(root_, target_, error);
    if (error) return io::SystemError(target_, "cannot create", error.value());
    root_ = target_;
    return sync ? io::SyncDirectory(target_.parent_path()) : Status();
  }

 private:
  Staging() = default;
  bool IsApart() const { return root_ != target_; }
  fs::path target_;
  fs::path root_;
};

/// Writes files below a directory; they get their names all together in the end.
class UnpackSink final : public FileSink {
 public:
  UnpackSink(fs::path root, const UnpackOptions& options) : root_(std::move(root)) {
    file_options_ = {options.overwrite, options.sync};
  }

  /// Announces a file, before anything is written to it.
  void Expect(uint32_t id, std::string_view path) { outputs_[id].path = root_ / path; }

  Status Write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) override {
    QSTORE_ASSIGN(io::OutputFile * output, Open(file));
    return output->WriteAt(offset, bytes);
  }
  Status Done(uint32_t file) override {
    QSTORE_ASSIGN(io::OutputFile * output, Open(file));
    return output->Finish();
  }
  Status Commit() {
    for (auto& [id, output] : outputs_) QSTORE_TRY(output.file->Commit());
    return {};
  }

 private:
  struct Output {
    fs::path path;
    std::mutex mutex;
    std::unique_ptr<io::OutputFile> file;
  };

  Result<io::OutputFile*> Open(uint32_t id) {
    Output& output = outputs_.at(id);
    const std::lock_guard lock(output.mutex);
    if (output.file == nullptr) {
      QSTORE_ASSIGN(output.file, io::OutputFile::Create(output.path, file_options_));
    }
    return output.file.get();
  }

  fs::path root_;
  io::OutputFile::Options file_options_;
  std::map<uint32_t, Output> outputs_;  // Complete before the first Write.
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

Result<UnpackReport> Unpack(const Archive& archive, std::string_view variant,
                            const std::filesystem::path& directory, const UnpackOptions& options) {
  QSTORE_ASSIGN(const size_t index, archive.FindVariant(variant));
  QSTORE_ASSIGN(auto staging, store::Staging::Make(directory, options));
  store::UnpackSink sink(staging->root(), options);
  QSTORE_ASSIGN(UnpackReport report, options.tensors.empty()
                                         ? store::UnpackFiles(archive.impl(), index, options, &sink)
                                         : store::UnpackTensors(archive, index, options, &sink));
  QSTORE_TRY(sink.Commit());
  QSTORE_TRY(staging->Commit(options.sync));
  return report;
}

}  // namespace qstore
