// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/quantize.h"

#include <algorithm>
#include <span>
#include <system_error>

#include "base/float_convert.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/output_tree.h"
#include "make/convert.h"
#include "make/old_weights.h"
#include "make/progress.h"
#include "make/quantize_plan.h"

namespace qstore::make {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;  // Of source bytes in one task.

uint64_t ElementBytes(const TensorPlan& tensor) {
  return std::max(1u, DTypeBits(tensor.source.dtype) / 8);
}

// A run of rows of a tensor to be quantized, or of elements (bytes, if kept) of any other.
struct Task {
  const TensorPlan* tensor;
  uint64_t first;
  uint64_t count;
  uint64_t source_bytes;
};

void AddTasks(const TensorPlan& tensor, std::vector<Task>* tasks) {
  const uint64_t bytes = tensor.source.end - tensor.source.begin;
  uint64_t unit = 1;
  if (tensor.action == TensorPlan::Action::kCast) unit = ElementBytes(tensor);
  if (tensor.action == TensorPlan::Action::kQuantize) unit = bytes / tensor.source.shape[0];
  const uint64_t units = bytes / unit;
  const uint64_t step = std::max<uint64_t>(1, kPieceBytes / unit);
  for (uint64_t first = 0; first < units; first += step) {
    const uint64_t count = std::min(step, units - first);
    tasks->push_back({&tensor, first, count, count * unit});
  }
}

// Carries out tasks of one file; one for each thread.
class Worker {
 public:
  Status Run(const Task& task, const io::SourceFile& source, io::OutputFile* out) {
    switch (task.tensor->action) {
      case TensorPlan::Action::kKeep:
        QSTORE_TRY(Read(source, task.tensor->source.begin + task.first, task.count));
        return out->WriteAt(task.tensor->begin + task.first, in_);
      case TensorPlan::Action::kCast:
        QSTORE_TRY(ReadAsFloats(*task.tensor, task.first, task.count, source));
        return out->WriteAt(task.tensor->begin + task.first * 2, std::as_bytes(std::span(narrow_)));
      case TensorPlan::Action::kQuantize:
        break;
    }
    if (task.first == 0) {
      const std::byte row_major{0};
      QSTORE_TRY(out->WriteAt(task.tensor->format_begin, {&row_major, 1}));
    }
    const uint64_t columns = task.tensor->source.shape[1];
    const bool long_row = columns * ElementBytes(*task.tensor) > kPieceBytes;
    return long_row ? QuantizeLongRow(*task.tensor, task.first, source, out)
                    : QuantizeRows(task, source, out);
  }

 private:
  Status Read(const io::SourceFile& source, uint64_t offset, uint64_t length) {
    in_.resize(static_cast<size_t>(length));
    return source.Read(offset, in_);
  }

  // Fills narrow_ with elements of the tensor: F16 if it is to be quantized, else of its new type.
  Status ReadAsFloats(const TensorPlan& tensor, uint64_t first, uint64_t count,
                      const io::SourceFile& source) {
    const uint64_t size = ElementBytes(tensor);
    QSTORE_TRY(Read(source, tensor.source.begin + first * size, count * size));
    const bool quantize = tensor.action == TensorPlan::Action::kQuantize;
    narrow_.resize(static_cast<size_t>(count));
    ConvertFloats(tensor.source.dtype, in_, quantize ? DType::kF16 : tensor.dtype,
                  std::as_writable_bytes(std::span(narrow_)));
    return {};
  }

  static Status CheckFinite(const TensorPlan& tensor, uint64_t row, uint16_t largest) {
    if (largest < 0x7c00) return {};
    return InvalidArgument("tensor " + io::QuotedName(tensor.source.name) + ", row " +
                           std::to_string(row) + ": holds " +
                           (largest == 0x7c00 ? "infinity or a value beyond F16" : "NaN") +
                           " and cannot be quantized");
  }

  Status QuantizeRows(const Task& task, const io::SourceFile& source, io::OutputFile* out) {
    const TensorPlan& tensor = *task.tensor;
    const auto columns = static_cast<size_t>(tensor.source.shape[1]);
    QSTORE_TRY(ReadAsFloats(tensor, task.first * columns, task.count * columns, source));
    q_.resize(narrow_.size());
    scb_.resize(static_cast<size_t>(task.count));
    for (size_t i = 0; i < scb_.size(); ++i) {
      const auto row = std::span(narrow_).subspan(i * columns, columns);
      const uint16_t largest = LargestMagnitude(row);
      QSTORE_TRY(CheckFinite(tensor, task.first + i, largest));
      scb_[i] = base::Fp16ToFloat(largest);
      QuantizeToInt8(row, scb_[i], std::span(q_).subspan(i * columns, columns));
    }
    QSTORE_TRY(out->WriteAt(tensor.scb_begin + task.first * 4, std::as_bytes(std::span(scb_))));
    return out->WriteAt(tensor.begin + task.first * columns, std::as_bytes(std::span(q_)));
  }

  // Two passes over a row too long to be held.
  Status QuantizeLongRow(const TensorPlan& tensor, uint64_t row, const io::SourceFile& source,
                         io::OutputFile* out) {
    const uint64_t columns = tensor.source.shape[1];
    const uint64_t piece = kPieceBytes / ElementBytes(tensor);
    uint16_t largest = 0;
    for (uint64_t at = 0; at < columns; at += piece) {
      QSTORE_TRY(ReadAsFloats(tensor, row * columns + at, std::min(piece, columns - at), source));
      largest = std::max(largest, LargestMagnitude(narrow_));
    }
    QSTORE_TRY(CheckFinite(tensor, row, largest));
    const float absmax = base::Fp16ToFloat(largest);
    for (uint64_t at = 0; at < columns; at += piece) {
      QSTORE_TRY(ReadAsFloats(tensor, row * columns + at, std::min(piece, columns - at), source));
      q_.resize(narrow_.size());
      QuantizeToInt8(narrow_, absmax, q_);
      QSTORE_TRY(out->WriteAt(tensor.begin + row * columns + at, std::as_bytes(std::span(q_))));
    }
    return out->WriteAt(tensor.scb_begin + row * 4, std::as_bytes(std::span(&absmax, 1)));
  }

  std::vector<std::byte> in_;
  std::vector<uint16_t> narrow_;
  std::vector<int8_t> q_;
  std::vector<float> scb_;
};

// A file that is copied is one run of bytes that are kept.
TensorPlan WholeFile(const FilePlan& plan) {
  TensorPlan whole;
  whole.source.end = plan.source->size();
  return whole;
}

Status WriteFile(const FilePlan& plan, std::vector<Worker>* workers, ProgressCounter* progress,
                 io::OutputTree* tree) {
  QSTORE_ASSIGN(io::OutputFile * out, tree->Add(plan.path));
  QSTORE_TRY(out->Append(std::as_bytes(std::span(plan.text.data(), plan.text.size()))));
  const TensorPlan whole = WholeFile(plan);
  std::vector<Task> tasks;
  if (plan.kind == FilePlan::Kind::kCopy) AddTasks(whole, &tasks);
  for (const TensorPlan& tensor : plan.tensors) AddTasks(tensor, &tasks);
  // What no task reads (headers, rewritten texts) was read to make the plan.
  uint64_t planned = plan.source->size();
  for (const Task& task : tasks) planned -= task.source_bytes;
  if (planned != 0) QSTORE_TRY(progress->Add(planned));

  const auto threads = static_cast<unsigned>(workers->size());
  const auto work = [&](const base::PipelineItem& item) {
    return (*workers)[item.worker]
        .Run(tasks[item.index], *plan.source, out)
        .WithContext(plan.source->path().string());
  };
  const auto retire = [&](const base::PipelineItem& item) {
    return progress->Add(tasks[item.index].source_bytes);
  };
  QSTORE_TRY(base::RunPipeline(tasks.size(), {threads, threads}, work, retire));
  QSTORE_TRY(plan.source->CheckUnchanged());
  return out->Finish();
}

// Nor the directory of a source that is one file, since that would be replaced.
Status CheckOutputIsNotSource(const std::filesystem::path& source,
                              const std::filesystem::path& output) {
  std::error_code error;
  auto directory = std::filesystem::absolute(source, error);
  if (!error && !std::filesystem::is_directory(source, error)) directory = directory.parent_path();
  if (!std::filesystem::equivalent(directory, output, error)) return {};
  return InvalidArgument(output.string() + ": holds the source itself");
}

Result<QuantizeReport> RunQuantize(const std::filesystem::path& source,
                                   const std::filesystem::path& output,
                                   const QuantizeOptions& options) {
  QSTORE_ASSIGN(QuantizePlan plan, PlanQuantize(source, options));
  if (options.dry_run) return std::move(plan.report);
  QSTORE_TRY(CheckOutputIsNotSource(source, output));
  QSTORE_ASSIGN(auto tree, io::OutputTree::Create(output, {options.overwrite, options.sync}));
  ProgressCounter progress(options.progress, plan.report.source_bytes);
  std::vector<Worker> workers(base::ThreadCount(options.threads));
  for (const FilePlan& file : plan.files) {
    QSTORE_TRY(WriteFile(file, &workers, &progress, &tree));
  }
  if (options.overwrite) {
    std::vector<std::string> written;
    for (const FilePlan& file : plan.files) written.push_back(file.path);
    QSTORE_TRY(RemoveOldWeights(output, written, &tree));
  }
  QSTORE_TRY(tree.Commit());
  return std::move(plan.report);
}

}  // namespace

Result<QuantizeReport> Quantize(const std::filesystem::path& source,
                                const std::filesystem::path& output,
                                const QuantizeOptions& options) {
  return base::Guarded([&] { return RunQuantize(source, output, options); });
}

}  // namespace qstore::make
