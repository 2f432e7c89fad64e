// SPDX-License-Identifier: Apache-2.0
#include "qstore/unpack.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
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
  void Expect(uint32_t id, std::string_view path, bool is_executable) {
    outputs_[id] = {std::string(path), is_executable, nullptr};
  }

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
    bool is_executable = false;
    io::OutputFile* file = nullptr;
  };

  Result<io::OutputFile*> Open(uint32_t id) {
    const std::lock_guard lock(mutex_);
    Output& output = outputs_.at(id);
    if (output.file == nullptr) {
      QSTORE_ASSIGN(output.file, tree_.Add(output.path));
      if (output.is_executable) QSTORE_TRY(output.file->MakeExecutable());
    }
    return output.file;
  }

  std::mutex mutex_;
  io::OutputTree& tree_;
  std::map<uint32_t, Output> outputs_;
};

/// What is to be written.
struct UnpackPlan {
  std::vector<StreamFile> files;
  std::vector<std::string> paths;  // By file.
  std::vector<bool> executable;    // Likewise.
  std::vector<std::string> directories;
  std::vector<uint32_t> objects;  // Of a file that the archive does not have.
  std::string prefix;             // What comes before them.
  UnpackReport report;
  uint64_t memory = 0;
};

// Of a file with its path and output, and of a tensor with what is noted of it.
constexpr uint64_t kFileMemory = 256;
constexpr uint64_t kTensorMemory = 512;

// All of them when `only` is empty, or that of this path.
UnpackPlan PlanFiles(const ArchiveFile& archive, size_t variant, const std::string& only) {
  const format::Range range = archive.index().variants[variant].files;
  UnpackPlan plan;
  for (uint32_t f = range.begin; f < range.end; ++f) {
    const format::FileEntry& file = archive.index().files[f];
    if (!only.empty() && (file.path != only || file.Has(FileFlag::kDirectory))) continue;
    plan.memory += kFileMemory + 2 * file.path.size();
    if (file.Has(FileFlag::kDirectory)) {
      plan.directories.emplace_back(file.path);
      continue;
    }
    plan.files.push_back(FileOfIndex(archive, f));
    plan.paths.emplace_back(file.path);
    plan.executable.push_back(file.Has(FileFlag::kExecutable));
    if (__builtin_add_overflow(plan.report.bytes, file.size, &plan.report.bytes)) {
      plan.report.bytes = UINT64_MAX;
    }
  }
  plan.report.files = plan.files.size();
  return plan;
}

// Safetensors has no block types: a tensor of them is bytes there, rows of whole blocks.
void WithoutBlocks(io::SafetensorsTensor* tensor) {
  const unsigned block = DTypeBlock(tensor->dtype);
  if (block == 1) return;
  tensor->shape.back() = tensor->shape.back() / block * (DTypeBits(tensor->dtype) / 8);
  tensor->dtype = DType::kU8;
}

// The tensors that match, laid out as a file of their own, and their objects by name.
Result<io::SafetensorsLayout> LayOutMatching(const Archive& archive, size_t variant,
                                             const std::string& pattern,
                                             std::map<std::string, uint32_t>* objects) {
  const VariantInfo info = archive.variant(variant);
  std::vector<io::SafetensorsTensor> tensors;
  uint64_t memory = 0;
  for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(t);
    std::string name(tensor.name);
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
    QSTORE_TRY(archive.impl().headers().Check(static_cast<uint32_t>(tensor.file)));
    memory += kTensorMemory + 4 * name.size();
    if (memory > archive.impl().MemoryLeft()) {
      return archive.impl().BeyondMemory("a list of the tensors that match", memory);
    }
    const format::Index& index = archive.impl().index();
    (*objects)[name] = index.parts[index.tensors[t].part];
    tensors.push_back({std::move(name), tensor.dtype, {tensor.shape.begin(), tensor.shape.end()}});
    WithoutBlocks(&tensors.back());
  }
  if (tensors.empty()) {
    return NotFound(archive.path().string() + ": variant '" + std::string(info.name) +
                    "' has no tensor whose name matches '" + pattern + "'");
  }
  return io::LayOutSafetensors(std::move(tensors), {{"format", "pt"}});
}

Result<UnpackPlan> PlanTensors(const Archive& archive, size_t variant, const std::string& pattern) {
  std::map<std::string, uint32_t> objects;
  QSTORE_ASSIGN(io::SafetensorsLayout layout, LayOutMatching(archive, variant, pattern, &objects));
  UnpackPlan plan;
  for (const io::SafetensorsTensor& tensor : layout.header.tensors) {
    plan.objects.push_back(objects[tensor.name]);
    plan.memory += kTensorMemory;
  }
  plan.prefix = std::move(layout.prefix);
  plan.files.push_back({0, plan.objects, plan.prefix.size(), nullptr});
  plan.paths.emplace_back(kTensorsFile);
  plan.executable.push_back(false);
  plan.report = {1, layout.file_size};
  return plan;
}

Status CheckBytes(const ArchiveFile& archive, const UnpackPlan& plan, uint64_t max_bytes) {
  if (plan.report.bytes <= max_bytes) return {};
  return LimitExceeded(archive.path().string() + ": the files have " +
                       std::to_string(plan.report.bytes) + " bytes, more than the " +
                       std::to_string(max_bytes) + " allowed (max_bytes, --max-bytes)");
}

Status WriteAll(const ArchiveFile& archive, const UnpackPlan& plan, const UnpackOptions& options,
                io::OutputTree* tree) {
  UnpackSink sink(tree);
  for (size_t f = 0; f < plan.files.size(); ++f) {
    sink.Expect(plan.files[f].id, plan.paths[f], plan.executable[f]);
  }
  for (const std::string& path : plan.directories) tree->AddDirectory(path);
  if (!plan.prefix.empty()) {
    QSTORE_TRY(sink.Write(plan.files[0].id, 0, std::as_bytes(std::span(plan.prefix))));
  }
  StreamOptions stream;
  stream.threads = base::ThreadCount(options.threads);
  stream.sink_bytes = plan.memory;
  stream.progress = options.progress;
  stream.total_bytes = plan.report.bytes - plan.prefix.size();
  return StreamFiles(archive, plan.files, stream, &sink);
}

Result<UnpackReport> UnpackVariant(const Archive& archive, std::string_view variant,
                                   const std::filesystem::path& directory,
                                   const UnpackOptions& options) {
  QSTORE_ASSIGN(const size_t index, archive.FindVariant(variant));
  UnpackPlan plan;
  if (!options.tensors.empty() && !options.file.empty()) {
    return InvalidArgument("one file (--file) or some tensors (--tensors), not both");
  }
  if (options.tensors.empty()) {
    plan = PlanFiles(archive.impl(), index, options.file);
    if (!options.file.empty() && plan.files.empty()) {
      return NotFound(archive.path().string() + ": variant '" + std::string(variant) +
                      "' has no file '" + options.file + "'");
    }
  } else {
    QSTORE_ASSIGN(plan, PlanTensors(archive, index, options.tensors));
  }
  QSTORE_TRY(CheckBytes(archive.impl(), plan, options.max_bytes));
  QSTORE_ASSIGN(auto tree, io::OutputTree::Create(directory, {options.overwrite, options.sync}));
  QSTORE_TRY(WriteAll(archive.impl(), plan, options, &tree));
  QSTORE_TRY(tree.Commit());
  return plan.report;
}

}  // namespace
}  // namespace store

Result<UnpackReport> Unpack(const Archive& archive, std::string_view variant,
                            const std::filesystem::path& directory, const UnpackOptions& options) {
  return base::Guarded([&] { return store::UnpackVariant(archive, variant, directory, options); });
}

}  // namespace qstore
