// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/quantize_gguf.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/file.h"
#include "io/output_file.h"
#include "io/safetensors.h"
#include "make/gguf/plan.h"
#include "make/progress.h"
#include "qstore/blocks.h"

namespace qstore::make {
namespace {

constexpr uint64_t kPieceWeights = uint64_t{1} << 19;  // Of one task, but at least a row.
constexpr uint64_t kPieceBytes = uint64_t{1} << 21;    // The same of a tensor that is kept.

/// Some rows of one matrix of a tensor, or bytes of one that is kept.
struct GgufTask {
  const GgufTensorPlan* tensor = nullptr;
  uint64_t first = 0;  // Of all rows, or bytes, of the tensor.
  uint64_t count = 0;
  uint64_t source_bytes = 0;
};

uint64_t RowBytes(DType dtype, uint64_t columns) {
  return columns / DTypeBlock(dtype) * (DTypeBits(dtype) / 8);
}

void AddKept(const GgufTensorPlan& tensor, std::vector<GgufTask>* tasks) {
  const uint64_t size = tensor.source->byte_size;
  for (uint64_t at = 0; at < size; at += kPieceBytes) {
    const uint64_t count = std::min(kPieceBytes, size - at);
    tasks->push_back({&tensor, at, count, count});
  }
}

void AddRows(const GgufTensorPlan& tensor, std::vector<GgufTask>* tasks) {
  if (tensor.source->byte_size == 0) return;
  const auto& shape = tensor.source->shape;
  const uint64_t columns = shape.back();
  const uint64_t rows = shape[shape.size() - 2];  // Of a matrix.
  const uint64_t row_bytes = RowBytes(tensor.source->dtype, columns);
  const uint64_t all = tensor.source->byte_size / row_bytes;
  const uint64_t step = std::max<uint64_t>(1, kPieceWeights / columns);
  for (uint64_t first = 0; first < all;) {
    const uint64_t in_matrix = rows - first % rows;
    const uint64_t count = std::min(step, in_matrix);
    tasks->push_back({&tensor, first, count, count * row_bytes});
    first += count;
  }
}

/// Carries out tasks; one for each thread.
class GgufWorker {
 public:
  Status Run(const GgufTask& task, const ByteSource& source, io::OutputFile* out) {
    const GgufTensorPlan& tensor = *task.tensor;
    if (tensor.is_kept()) {
      QSTORE_TRY(Read(source, tensor.source->begin + task.first, task.count));
      return out->WriteAt(tensor.made.begin + task.first, in_);
    }
    const uint64_t columns = tensor.source->shape.back();
    const uint64_t in_row = RowBytes(tensor.source->dtype, columns);
    const uint64_t out_row = RowBytes(tensor.made.dtype, columns);
    QSTORE_TRY(Read(source, tensor.source->begin + task.first * in_row, task.source_bytes));
    out_.resize(static_cast<size_t>(task.count * out_row));
    QSTORE_TRY(maker_.Make(tensor.source->dtype, in_, tensor.made.dtype, columns,
                           ImportanceOfRows(task), out_));
    return out->WriteAt(tensor.made.begin + task.first * out_row, out_);
  }

 private:
  Status Read(const ByteSource& source, uint64_t offset, uint64_t size) {
    in_.resize(static_cast<size_t>(size));
    return source.Read(offset, in_);
  }

  static std::span<const float> ImportanceOfRows(const GgufTask& task) {
    const std::span<const float> all = task.tensor->importance;
    if (all.empty()) return all;
    const auto& shape = task.tensor->source->shape;
    const auto columns = static_cast<size_t>(shape.back());
    const auto matrix = static_cast<size_t>(task.first / shape[shape.size() - 2]);
    return all.subspan(matrix * columns, columns);
  }

  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
  BlockMaker maker_;
};

Status WriteGguf(const GgufModel& model, const GgufPlan& plan, std::vector<GgufWorker>* workers,
                 ProgressCounter* progress, io::OutputFile* out) {
  QSTORE_TRY(out->Append(plan.head));
  std::vector<GgufTask> tasks;
  uint64_t end = plan.head.size();
  for (const GgufTensorPlan& tensor : plan.tensors) {
    if (tensor.is_kept()) {
      AddKept(tensor, &tasks);
    } else {
      AddRows(tensor, &tasks);
    }
    end = tensor.made.begin + tensor.made.byte_size;
  }
  const auto threads = static_cast<unsigned>(workers->size());
  const auto work = [&](const base::PipelineItem& item) {
    const GgufTask& task = tasks[item.index];
    const Status status = (*workers)[item.worker].Run(task, *model.file, out);
    if (status.ok()) return status;
    return status.WithContext("tensor " + io::QuotedName(task.tensor->source->name));
  };
  const auto retire = [&](const base::PipelineItem& item) {
    return progress->Add(tasks[item.index].source_bytes);
  };
  QSTORE_TRY(base::RunPipeline(tasks.size(), {threads, threads}, work, retire));
  // Padding between tensors is what was never written; that behind the last one must be.
  const std::vector<std::byte> padding(static_cast<size_t>(plan.file_size - end));
  if (!padding.empty()) QSTORE_TRY(out->WriteAt(end, padding));
  return out->Finish();
}

Result<std::vector<GgufTarget>> FindTargets(std::span<const std::string> names) {
  std::vector<GgufTarget> targets;
  for (const std::string& name : names) {
    const GgufTarget* target = FindGgufTarget(name);
    if (target == nullptr) {
      return InvalidArgument("'" + name + "' is no precision that is made of GGUF files");
    }
    if (std::any_of(targets.begin(), targets.end(),
                    [&](const GgufTarget& one) { return one.file_type == target->file_type; })) {
      return InvalidArgument("'" + name + "' is asked for twice");
    }
    targets.push_back(*target);
  }
  if (targets.empty()) return InvalidArgument("no precision is asked for");
  return targets;
}

GgufReport ReportOf(const GgufPlan& plan, const std::filesystem::path& file) {
  GgufReport report{std::string(plan.target.name), file, {}, 0, plan.file_size};
  for (const GgufTensorPlan& tensor : plan.tensors) {
    report.tensors.push_back({tensor.made.name, tensor.source->dtype, tensor.made.dtype});
    report.source_bytes += tensor.source->byte_size;
  }
  return report;
}

Result<std::vector<std::unique_ptr<io::OutputFile>>> OpenOutputs(
    const std::filesystem::path& source, const std::vector<GgufReport>& reports,
    const GgufOptions& options) {
  std::vector<std::unique_ptr<io::OutputFile>> outputs;
  for (const GgufReport& report : reports) {
    std::error_code error;
    if (std::filesystem::equivalent(source, report.file, error)) {
      return InvalidArgument(report.file.string() + ": is the source itself");
    }
    QSTORE_ASSIGN(auto output, io::OutputFile::Create(report.file, {.overwrite = options.overwrite,
                                                                    .sync = options.sync}));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

Result<std::vector<GgufReport>> MakeAll(const std::filesystem::path& source,
                                        const std::filesystem::path& output,
                                        std::span<const std::string> names,
                                        const GgufOptions& options) {
  QSTORE_ASSIGN(const auto targets, FindTargets(names));
  QSTORE_ASSIGN(const auto file, io::SourceFile::Open(source));
  const auto in_source = [&](const Status& status) { return status.WithContext(source.string()); };
  auto model = ReadGgufModel(file, options.importance);
  if (!model.ok()) return in_source(model.status());
  std::vector<GgufPlan> plans;
  std::vector<GgufReport> reports;
  uint64_t total = 0;
  for (const GgufTarget& target : targets) {
    auto plan = PlanGguf(*model, target, options);
    if (!plan.ok()) return in_source(plan.status());
    const std::string stem = source.stem().string();
    reports.push_back(ReportOf(*plan, output / (GgufStemFor(stem, target) + ".gguf")));
    total += reports.back().source_bytes;
    plans.push_back(std::move(plan).value());
  }
  if (options.dry_run) return reports;
  QSTORE_ASSIGN(const auto outputs, OpenOutputs(source, reports, options));
  ProgressCounter progress(options.progress, total);
  std::vector<GgufWorker> workers(base::ThreadCount(options.threads));
  for (size_t i = 0; i < plans.size(); ++i) {
    QSTORE_TRY(in_source(WriteGguf(*model, plans[i], &workers, &progress, outputs[i].get())));
  }
  QSTORE_TRY(file->CheckUnchanged());
  for (const auto& out : outputs) QSTORE_TRY(out->Commit());
  return reports;
}

}  // namespace

Result<std::vector<GgufReport>> QuantizeGguf(const std::filesystem::path& source,
                                             const std::filesystem::path& output,
                                             std::span<const std::string> targets,
                                             const GgufOptions& options) {
  return base::Guarded([&] { return MakeAll(source, output, targets, options); });
}

}  // namespace qstore::make
