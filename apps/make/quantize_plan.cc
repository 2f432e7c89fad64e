// SPDX-License-Identifier: Apache-2.0
#include "make/quantize_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/status_macros.h"
#include "io/model_tree.h"
#include "io/safetensors_index.h"
#include "make/linear_rule.h"
#include "make/quantize_config.h"

namespace qstore::make {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }
std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// What a config beside the tensors must say of them.
struct DirectoryFacts {
  bool has_tensors = false;
  SkippedModules skipped;
};

class Planner {
 public:
  explicit Planner(const QuantizeOptions& options)
      : options_(options), choice_{options.include, options.exclude} {}

  Result<QuantizePlan> Plan(const std::filesystem::path& source) {
    QSTORE_ASSIGN(auto files, io::ListModelFiles(source));
    std::erase_if(files, [](const io::ModelFile& file) { return file.is_directory; });
    for (const io::ModelFile& file : files) {
      FilePlan plan;
      plan.path = file.path;
      QSTORE_ASSIGN(plan.source, io::SourceFile::OpenOnDemand(file.source));
      plan.output_size = plan.source->size();
      plan_.report.source_bytes += plan.source->size();
      if (std::filesystem::path(file.path).extension() == ".safetensors") {
        QSTORE_TRY(PlanTensors(&plan).WithContext(file.source.string()));
      }
      plan_.files.push_back(std::move(plan));
    }
    if (Quantizes(options_.target) && plan_.report.quantized.empty()) {
      return NothingToQuantize(source);
    }
    for (FilePlan& file : plan_.files) QSTORE_TRY(PlanText(&file));
    for (const FilePlan& file : plan_.files) plan_.report.output_bytes += file.output_size;
    return std::move(plan_);
  }

 private:
  Status NothingToQuantize(const std::filesystem::path& source) const {
    if (few_bits_.empty()) {
      return InvalidArgument(source.string() +
                             ": has no float matrix that looks like a linear "
                             "layer; `include` names others");
    }
    return InvalidArgument(source.string() + ": is quantized already: " + few_bits_ +
                           " is no matrix of floats, and no other looks like a linear layer");
  }

  DType FloatTarget() const {
    const bool quantizes = Quantizes(options_.target);
    const bool bf16 =
        quantizes ? options_.rest == QuantizeRest::kBF16 : options_.target == QuantizeTarget::kBF16;
    return bf16 ? DType::kBF16 : DType::kF16;
  }

  Result<TensorPlan> Decide(const io::SafetensorsTensor& tensor) const {
    TensorPlan plan;
    plan.source = tensor;
    plan.dtype = tensor.dtype;
    const bool quantizes = Quantizes(options_.target);
    const bool keep_floats = quantizes && options_.rest == QuantizeRest::kKeep;
    if (quantizes && choice_.Chooses(tensor)) {
      if (options_.target == QuantizeTarget::kFormat) return DecideFormat(std::move(plan));
      plan.action = TensorPlan::Action::kQuantize;
      plan.dtype = DType::kI8;
    } else if (!keep_floats && IsFloat(tensor.dtype) && tensor.dtype != FloatTarget()) {
      plan.action = TensorPlan::Action::kCast;
      plan.dtype = FloatTarget();
    }
    return plan;
  }

  Result<TensorPlan> DecideFormat(TensorPlan plan) const {
    const io::SafetensorsTensor& tensor = plan.source;
    QSTORE_ASSIGN(Rounder rounder,
                  Rounder::Create(options_.format, tensor.name, tensor.dtype, tensor.shape));
    plan.action = TensorPlan::Action::kRound;
    plan.rounder = std::make_shared<const Rounder>(std::move(rounder));
    return plan;
  }

  void Record(const TensorPlan& plan, DirectoryFacts* facts) {
    const bool quantized =
        plan.action == TensorPlan::Action::kQuantize || plan.action == TensorPlan::Action::kRound;
    if (quantized) {
      plan_.report.quantized.push_back(plan.source.name);
    } else if (plan.action == TensorPlan::Action::kCast) {
      plan_.report.cast.push_back(plan.source.name);
    } else {
      ++plan_.report.kept;
      if (plan.source.shape.size() == 2) plan_.report.kept_matrices.push_back(plan.source.name);
    }
    const bool has_few_bits = plan.source.shape.size() == 2 && !IsFloat(plan.source.dtype);
    if (has_few_bits && few_bits_.empty()) {
      few_bits_ = "'" + plan.source.name + "' (" + std::string(DTypeName(plan.source.dtype)) + ")";
    }
    if (!IsWeightMatrix(plan.source)) return;
    const std::string module(ModuleOf(plan.source));
    SkippedModules& skipped = facts->skipped;
    if (!quantized) skipped.all.push_back(module);
    if (!quantized && !IsEmbeddingModule(module)) skipped.linear.push_back(module);
    if (quantized != IsLinearModule(module)) skipped.departs = true;
  }

  Status PlanTensors(FilePlan* file) {
    QSTORE_ASSIGN(io::SafetensorsHeader header, io::ReadSafetensorsHeader(*file->source));
    DirectoryFacts& facts = directories_[DirectoryOf(file->path)];
    facts.has_tensors = true;
    std::vector<io::SafetensorsTensor> outputs;
    for (const io::SafetensorsTensor& tensor : header.tensors) {
      QSTORE_ASSIGN(TensorPlan plan, Decide(tensor));
      Record(plan, &facts);
      AddOutputs(plan, &outputs);
      file->tensors.push_back(std::move(plan));
    }
    QSTORE_ASSIGN(auto layout,
                  io::LayOutSafetensors(std::move(outputs), std::move(header.metadata)));
    file->kind = FilePlan::Kind::kTensors;
    file->text = std::move(layout.prefix);
    file->output_size = layout.file_size;
    Place(layout.header, file);
    return {};
  }

  static void AddOutputs(const TensorPlan& plan, std::vector<io::SafetensorsTensor>* outputs) {
    const io::SafetensorsTensor& tensor = plan.source;
    if (plan.action == TensorPlan::Action::kRound) {
      for (const RoundedTensor& made : plan.rounder->tensors()) {
        outputs->push_back({made.name, made.dtype, made.shape});
      }
      return;
    }
    outputs->push_back({tensor.name, plan.dtype, tensor.shape});
    if (plan.action != TensorPlan::Action::kQuantize) return;
    const std::string module(ModuleOf(tensor));
    outputs->push_back({module + ".SCB", DType::kF32, {tensor.shape[0]}});
    outputs->push_back({module + ".weight_format", DType::kU8, {}});
  }

  void Place(const io::SafetensorsHeader& header, FilePlan* file) {
    std::unordered_map<std::string, uint64_t> begin;
    auto& names = shard_tensors_[file->path];
    for (const io::SafetensorsTensor& tensor : header.tensors) {
      begin[tensor.name] = tensor.begin;
      names.push_back(tensor.name);
    }
    shard_bytes_[file->path] = file->output_size - header.data_begin;
    for (TensorPlan& tensor : file->tensors) {
      if (tensor.action == TensorPlan::Action::kRound) {
        for (const RoundedTensor& made : tensor.rounder->tensors()) {
          tensor.part_begin.push_back(begin[made.name]);
        }
        continue;
      }
      tensor.begin = begin[tensor.source.name];
      if (tensor.action != TensorPlan::Action::kQuantize) continue;
      const std::string module(ModuleOf(tensor.source));
      tensor.scb_begin = begin[module + ".SCB"];
      tensor.format_begin = begin[module + ".weight_format"];
    }
  }

  // Rewrites a config or an index; leaves other files to be copied.
  Status PlanText(FilePlan* file) {
    const std::string name = NameOf(file->path);
    const bool is_config = name == "config.json";
    const auto facts = directories_.find(DirectoryOf(file->path));
    if (facts == directories_.end() || (!is_config && !io::IsSafetensorsIndexName(name))) return {};
    QSTORE_ASSIGN(const std::string text, io::ReadSmallFile(file->source->path(), kMaxTextBytes));
    if (is_config) {
      auto rewritten = RewriteConfig(text, options_, facts->second.skipped);
      if (!rewritten.ok()) return rewritten.status().WithContext(file->source->path().string());
      file->text = std::move(rewritten).value();
    } else {
      const auto index = io::ParseSafetensorsIndex(text);
      if (!index.ok()) return {};
      file->text = RewriteIndex(*index, DirectoryOf(file->path));
    }
    file->kind = FilePlan::Kind::kText;
    file->output_size = file->text.size();
    return {};
  }

  std::string RewriteIndex(const io::SafetensorsIndex& index, const std::string& directory) const {
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : index.weight_map) shards.insert(shard);
    io::SafetensorsIndex rewritten;
    uint64_t total = 0;
    for (const std::string& shard : shards) {
      const auto tensors = shard_tensors_.find(directory + shard);
      if (tensors == shard_tensors_.end()) continue;
      for (const std::string& tensor : tensors->second) {
        rewritten.weight_map.emplace_back(tensor, shard);
      }
      total += shard_bytes_.at(directory + shard);
    }
    return io::WriteSafetensorsIndex(std::move(rewritten), total);
  }

  const QuantizeOptions& options_;
  const LinearChoice choice_;
  QuantizePlan plan_;
  std::string few_bits_;                               // A matrix of no floats, for messages.
  std::map<std::string, DirectoryFacts> directories_;  // By path with a '/' behind it, or empty.
  std::map<std::string, std::vector<std::string>> shard_tensors_;  // By path of the file.
  std::map<std::string, uint64_t> shard_bytes_;
};

}  // namespace

Result<QuantizePlan> PlanQuantize(const std::filesystem::path& source,
                                  const QuantizeOptions& options) {
  return Planner(options).Plan(source);
}

}  // namespace qstore::make
