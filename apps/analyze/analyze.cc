// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/analyze.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>
#include <system_error>

#include "analyze/layer_analysis.h"
#include "analyze/layers.h"
#include "analyze/results.h"
#include "analyze/run_directory.h"
#include "analyze/zstd_size.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::analyze {
namespace {

// Less than this for a layer would have it read dozens of times.
constexpr uint64_t kMinLayerMemory = uint64_t{16} << 20;

Status CheckOptions(std::span<const VariantSource> variants, const AnalyzeOptions& options) {
  if (!(options.sample > 0 && options.sample <= 1)) {
    return InvalidArgument("the share of a sample is above 0 and at most 1");
  }
  for (const int level : options.zstd) {
    if (level < LowestZstdLevel() || level > HighestZstdLevel()) {
      return InvalidArgument("zstd has no level " + std::to_string(level));
    }
  }
  for (const auto& [target, given] : options.pairs) {
    for (const std::string& name : {target, given}) {
      if (std::none_of(variants.begin(), variants.end(),
                       [&](const VariantSource& variant) { return variant.name == name; })) {
        return InvalidArgument("no variant is named '" + name + "'");
      }
    }
  }
  return {};
}

using InputFiles = std::vector<std::pair<std::string, std::string>>;

// Path, size and time of change of every file that a layer is in.
Result<InputFiles> ListInputFiles(const std::vector<Layer>& layers) {
  std::set<std::pair<std::string, std::string>> files;
  for (const Layer& layer : layers) {
    for (const LayerVariant& variant : layer.variants) {
      for (const WeightPart& part : variant.matrix.parts) {
        const CheckpointFile& file = variant.model->file(variant.tensor(part).file);
        std::error_code error;
        const auto time = std::filesystem::last_write_time(file.path, error).time_since_epoch();
        if (error) return io::SystemError(file.path, "cannot stat", error.value());
        files.insert({file.path.string(), std::to_string(file.content->size()) + " bytes, " +
                                              std::to_string(time.count())});
      }
    }
  }
  return InputFiles(files.begin(), files.end());
}

std::string Describe(const LayerResult& layer) {
  if (!layer.not_analysed.empty()) return layer.name + ": not analysed: " + layer.not_analysed;
  std::string text = layer.name + ":";
  for (const Measure& measure : layer.measures) {
    std::array<char, 64> value{};
    std::snprintf(value.data(), value.size(), " %.3f",
                  measure.bits / static_cast<double>(layer.weights));
    text += " " + measure.method + " " + measure.of +
            (measure.given.empty() ? "" : "|" + measure.given) + value.data();
  }
  return text;
}

class Analysis {
 public:
  Analysis(std::span<const VariantSource> variants, const AnalyzeOptions& options)
      : variants_(variants), options_(options) {}

  Result<AnalyzeReport> Run(const std::filesystem::path& output) {
    QSTORE_TRY(CheckOptions(variants_, options_));
    QSTORE_ASSIGN(layers_, FindLayers(variants_, options_.layers));
    QSTORE_ASSIGN(const InputFiles files, ListInputFiles(layers_));
    run_ = RunToJson(variants_, options_, files);
    QSTORE_ASSIGN(directory_, RunDirectory::Open(output, run_, options_.restart));
    FindDone();
    directory_->Log("begin: " + std::to_string(layers_.size()) + " layers, " +
                    std::to_string(layers_.size() - todo_.size()) + " of them done before");
    const Status done = RunLayers();
    if (!done.ok()) {
      directory_->Log("stopped: " + done.ToString());
      return done;
    }
    QSTORE_TRY(WriteSummary());
    directory_->Log("done");
    return std::move(report_);
  }

 private:
  void FindDone() {
    results_.resize(layers_.size());
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (auto found = directory_->Find(i, layers_[i].name)) {
        results_[i] = std::move(*found);
        if (results_[i].not_analysed.empty()) ++report_.resumed;
      } else {
        todo_.push_back(i);
        progress_.total_bytes += layers_[i].source_bytes();
      }
    }
    // Large ones first, so that the threads end together.
    std::stable_sort(todo_.begin(), todo_.end(), [&](size_t a, size_t b) {
      return layers_[a].source_bytes() > layers_[b].source_bytes();
    });
  }

  Status RunLayers() {
    const unsigned threads = static_cast<unsigned>(std::clamp<size_t>(
        base::ThreadCount(options_.threads), 1, std::max<size_t>(1, todo_.size())));
    std::mutex one_zipnn;
    LayerContext context;
    context.variants = variants_;
    context.options = &options_;
    context.memory = std::max(kMinLayerMemory, options_.memory_limit / threads);
    context.one_zipnn = &one_zipnn;
    context.advance = [this](uint64_t bytes) { return Advance(bytes); };
    return base::RunPipeline(
        todo_.size(), {threads, threads},
        [&](const base::PipelineItem& item) { return RunLayer(todo_[item.index], context); }, {});
  }

  Status RunLayer(size_t index, const LayerContext& context) {
    auto result = AnalyzeLayer(layers_[index], context, directory_->Scratch(index));
    directory_->RemoveScratch(index);
    if (!result.ok()) return result.status();
    QSTORE_TRY(directory_->Save(index, *result));
    directory_->Log(Describe(*result));
    results_[index] = std::move(*result);
    return {};
  }

  Status Advance(uint64_t bytes) {
    const std::lock_guard<std::mutex> lock(progress_mutex_);
    progress_.done_bytes += bytes;
    if (!options_.progress || options_.progress(progress_)) return {};
    return {ErrorCode::kCancelled, "stopped on request; the same command goes on from here"};
  }

  // The names of the variants, from the most bits to the fewest.
  std::vector<std::string> NamesByBits() const {
    for (const Layer& layer : layers_) {
      if (layer.variants.empty()) continue;
      std::vector<size_t> order(variants_.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return layer.variants[a].matrix.bits > layer.variants[b].matrix.bits;
      });
      std::vector<std::string> names;
      for (const size_t variant : order) names.push_back(variants_[variant].name);
      return names;
    }
    return {};
  }

  Status WriteSummary() {
    std::vector<const LayerResult*> every;
    for (const LayerResult& result : results_) {
      every.push_back(&result);
      ++(result.not_analysed.empty() ? report_.analysed : report_.not_analysed);
    }
    const std::vector<std::string> names = NamesByBits();
    const Totals all = SumUp("", every, names);
    const std::vector<Totals> by_type = SumUpByType(results_, names);
    report_.totals = all.measures;
    report_.plans = all.plans;
    return directory_->Write("summary.json", SummaryToJson(run_, all, by_type, results_));
  }

  std::span<const VariantSource> variants_;
  const AnalyzeOptions& options_;
  std::vector<Layer> layers_;
  std::string run_;
  std::unique_ptr<RunDirectory> directory_;
  std::vector<LayerResult> results_;
  std::vector<size_t> todo_;
  std::mutex progress_mutex_;
  Progress progress_;
  AnalyzeReport report_;
};

}  // namespace

Result<AnalyzeReport> Analyze(std::span<const VariantSource> variants,
                              const std::filesystem::path& output, const AnalyzeOptions& options) {
  return base::Guarded([&] { return Analysis(variants, options).Run(output); });
}

}  // namespace qstore::analyze
