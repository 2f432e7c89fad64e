// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/synth.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/float_convert.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/output_tree.h"
#include "make/old_weights.h"
#include "make/progress.h"
#include "make/random.h"
#include "make/synth_layout.h"

namespace qstore::make {
namespace {

constexpr uint64_t kTaskWeights = uint64_t{1} << 20;
constexpr char kIndexName[] = "model.safetensors.index.json";
constexpr float kOutlierFactor = 16.0f;
constexpr float kLargestFp16 = 65504.0f;

// Part of the persistent meaning of a seed: do not change the values.
enum Purpose : uint32_t { kElements = 0, kRowFactors = 1, kColumnFactors = 2, kOutliers = 3 };

struct MakeTask {
  size_t tensor;  // Index in the shard's header.
  uint64_t first_row;
  uint64_t row_count;
};

// Makes rows of tensors; keeps the column factors of the tensor it worked on last.
class RowMaker {
 public:
  void Make(const Shard& shard, const MakeTask& task, const SynthOptions& options) {
    const io::SafetensorsTensor& tensor = shard.layout.header.tensors[task.tensor];
    const uint32_t stream = shard.stream[task.tensor];
    bytes_.resize(
        static_cast<size_t>(task.row_count * tensor.shape.back() * (DTypeBits(options.dtype) / 8)));
    if (tensor.shape.size() == 1) {
      MakeVector(options, stream);
    } else {
      MakeMatrix(task, tensor.shape.back(), options, stream);
    }
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  void MakeVector(const SynthOptions& options, uint32_t stream) {
    values_.resize(bytes_.size() / (DTypeBits(options.dtype) / 8));
    FillNormal({options.seed, stream, kElements, 0}, 0, values_);
    for (float& value : values_) {
      value = static_cast<float>(PortableExp(0.1 * static_cast<double>(value)));
    }
    Store(options.dtype, 0);
  }

  void MakeMatrix(const MakeTask& task, uint64_t columns, const SynthOptions& options,
                  uint32_t stream) {
    ChooseColumnFactors(columns, options, stream);
    // Whole blocks: the first row may lie inside one.
    const uint64_t skipped = task.first_row % kBlock;
    row_factor_.resize(static_cast<size_t>(skipped + task.row_count));
    FillNormal({options.seed, stream, kRowFactors, 0}, task.first_row - skipped, row_factor_);
    values_.resize(static_cast<size_t>(columns));
    for (uint64_t i = 0; i < task.row_count; ++i) {
      const Stream row{options.seed, stream, kElements, static_cast<uint32_t>(task.first_row + i)};
      if (options.student_t != 0) {
        FillStudentT(row, options.student_t, 0, values_);
      } else {
        FillNormal(row, 0, values_);
      }
      const double spread = options.row_spread * static_cast<double>(row_factor_[skipped + i]);
      const auto factor = static_cast<float>(options.deviation * PortableExp(spread));
      for (size_t c = 0; c < values_.size(); ++c) {
        values_[c] = (values_[c] * factor) * column_factor_[c];
      }
      Store(options.dtype, static_cast<size_t>(i * columns));
    }
  }

  void ChooseColumnFactors(uint64_t columns, const SynthOptions& options, uint32_t stream) {
    if (column_stream_ == static_cast<int64_t>(stream)) return;
    column_stream_ = static_cast<int64_t>(stream);
    column_factor_.resize(static_cast<size_t>(columns));
    FillNormal({options.seed, stream, kColumnFactors, 0}, 0, column_factor_);
    for (float& factor : column_factor_) {
      const double spread = options.column_spread * static_cast<double>(factor);
      factor = static_cast<float>(PortableExp(spread));
    }
    if (options.outlier_columns == 0) return;
    std::vector<uint32_t> draws(column_factor_.size());
    FillUniform({options.seed, stream, kOutliers, 0}, 0, draws);
    for (size_t c = 0; c < draws.size(); ++c) {
      const double uniform = static_cast<double>(draws[c]) * 0x1p-32;
      if (uniform < options.outlier_columns) column_factor_[c] *= kOutlierFactor;
    }
  }

  // Puts values_ as elements `at` and following of the output.
  void Store(DType dtype, size_t at) {
    if (dtype == DType::kF32) {
      std::memcpy(bytes_.data() + at * 4, values_.data(), values_.size() * 4);
      return;
    }
    auto* out = reinterpret_cast<uint16_t*>(bytes_.data()) + at;
    if (dtype == DType::kBF16) {
      for (size_t i = 0; i < values_.size(); ++i) out[i] = base::FloatToBf16(values_[i]);
      return;
    }
    for (size_t i = 0; i < values_.size(); ++i) {
      const float bounded = std::clamp(values_[i], -kLargestFp16, kLargestFp16);
      out[i] = base::FloatToFp16(bounded);
    }
  }

  std::vector<std::byte> bytes_;
  std::vector<float> values_;
  std::vector<float> row_factor_;
  std::vector<float> column_factor_;
  int64_t column_stream_ = -1;
};

std::vector<MakeTask> ListTasks(const Shard& shard) {
  std::vector<MakeTask> tasks;
  for (size_t t = 0; t < shard.layout.header.tensors.size(); ++t) {
    const std::vector<uint64_t>& shape = shard.layout.header.tensors[t].shape;
    const uint64_t rows = shape.size() == 1 ? 1 : shape.front();
    const uint64_t step = std::max<uint64_t>(1, kTaskWeights / shape.back());
    for (uint64_t row = 0; row < rows; row += step) {
      tasks.push_back({t, row, std::min(step, rows - row)});
    }
  }
  return tasks;
}

Status AppendText(const std::string& text, ProgressCounter* progress, io::OutputFile* out) {
  QSTORE_TRY(out->Append(std::as_bytes(std::span(text.data(), text.size()))));
  return progress->Add(text.size());
}

uint64_t RowBytes(const io::SafetensorsTensor& tensor) {
  return tensor.shape.back() * (DTypeBits(tensor.dtype) / 8);
}

Status WriteShard(const Shard& shard, const SynthOptions& options, std::vector<RowMaker>* makers,
                  ProgressCounter* progress, io::OutputFile* out) {
  QSTORE_TRY(AppendText(shard.layout.prefix, progress, out));
  const std::vector<MakeTask> tasks = ListTasks(shard);
  const auto threads = static_cast<unsigned>(makers->size());
  const auto work = [&](const base::PipelineItem& item) {
    const MakeTask& task = tasks[item.index];
    const io::SafetensorsTensor& tensor = shard.layout.header.tensors[task.tensor];
    RowMaker& maker = (*makers)[item.worker];
    maker.Make(shard, task, options);
    return out->WriteAt(tensor.begin + task.first_row * RowBytes(tensor), maker.bytes());
  };
  const auto retire = [&](const base::PipelineItem& item) {
    const MakeTask& task = tasks[item.index];
    return progress->Add(task.row_count * RowBytes(shard.layout.header.tensors[task.tensor]));
  };
  QSTORE_TRY(base::RunPipeline(tasks.size(), {threads, threads}, work, retire));
  return out->Finish();
}

Status AddText(const std::string& name, const std::string& text, ProgressCounter* progress,
               io::OutputTree* tree) {
  QSTORE_ASSIGN(io::OutputFile * file, tree->Add(name));
  return AppendText(text, progress, file);
}

uint64_t FileBytes(const SynthLayout& layout) {
  uint64_t bytes = layout.config_json.size() + layout.index_json.size();
  for (const Shard& shard : layout.shards) bytes += shard.layout.file_size;
  return bytes;
}

std::vector<std::string> NamesOf(const SynthLayout& layout) {
  std::vector<std::string> names;
  for (const Shard& shard : layout.shards) names.push_back(shard.name);
  if (!layout.index_json.empty()) names.push_back(kIndexName);
  return names;
}

Result<SynthReport> RunSynthesize(const std::filesystem::path& directory,
                                  const SynthOptions& options) {
  QSTORE_ASSIGN(const SynthLayout layout, LayOutSynth(options));
  QSTORE_ASSIGN(auto tree, io::OutputTree::Create(directory, {options.overwrite, options.sync}));
  SynthReport report;
  report.tensor_bytes = layout.tensor_bytes;
  report.weights = layout.tensor_bytes / (DTypeBits(layout.options.dtype) / 8);
  report.shards = layout.shards.size();
  ProgressCounter progress(options.progress, FileBytes(layout));
  QSTORE_TRY(AddText("config.json", layout.config_json, &progress, &tree));
  if (!layout.index_json.empty()) {
    QSTORE_TRY(AddText(kIndexName, layout.index_json, &progress, &tree));
  }
  std::vector<RowMaker> makers;
  for (const Shard& shard : layout.shards) {
    report.tensors += shard.stream.size();
    makers.assign(base::ThreadCount(options.threads), RowMaker());
    QSTORE_ASSIGN(io::OutputFile * file, tree.Add(shard.name));
    QSTORE_TRY(WriteShard(shard, layout.options, &makers, &progress, file));
  }
  if (options.overwrite) {
    QSTORE_TRY(RemoveOldWeights(directory, NamesOf(layout), &tree));
  }
  QSTORE_TRY(tree.Commit());
  return report;
}

}  // namespace

Result<SynthReport> Synthesize(const std::filesystem::path& directory,
                               const SynthOptions& options) {
  return base::Guarded([&] { return RunSynthesize(directory, options); });
}

}  // namespace qstore::make
