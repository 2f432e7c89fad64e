// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/quantize.h"

#include <algorithm>
#include <span>
#include <system_error>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/output_tree.h"
#include "make/old_weights.h"
#include "make/progress.h"
#include "make/quantize_plan.h"
#include "make/quantize_tasks.h"
#include "qstore_apps/targets.h"

namespace qstore::make {
namespace {

// A file that is copied is one run of bytes that are kept.
TensorPlan WholeFile(const FilePlan& plan) {
  TensorPlan whole;
  whole.source.end = plan.source->size();
  return whole;
}

// A pass over the matrices that are rounded by the largest magnitude of all their weights.
Status FindPeaks(FilePlan* plan, std::vector<Worker>* workers, ProgressCounter* progress) {
  const auto threads = static_cast<unsigned>(workers->size());
  for (TensorPlan& tensor : plan->tensors) {
    if (tensor.action != TensorPlan::Action::kRound || !tensor.rounder->needs_peak()) continue;
    std::vector<Task> tasks;
    AddTasks(tensor, &tasks);
    std::vector<float> peaks(tasks.size());
    const auto work = [&](const base::PipelineItem& item) -> Status {
      QSTORE_ASSIGN(peaks[item.index],
                    (*workers)[item.worker].FindPeak(tasks[item.index], *plan->source));
      return {};
    };
    const auto retire = [&](const base::PipelineItem&) { return progress->Add(0); };
    QSTORE_TRY(base::RunPipeline(tasks.size(), {threads, threads}, work, retire));
    tensor.peak = *std::max_element(peaks.begin(), peaks.end());
  }
  return {};
}

Status WriteFile(FilePlan* plan, std::vector<Worker>* workers, ProgressCounter* progress,
                 io::OutputTree* tree) {
  QSTORE_ASSIGN(io::OutputFile * out, tree->Add(plan->path));
  QSTORE_TRY(out->Append(std::as_bytes(std::span(plan->text.data(), plan->text.size()))));
  QSTORE_TRY(FindPeaks(plan, workers, progress).WithContext(plan->source->path().string()));
  const TensorPlan whole = WholeFile(*plan);
  std::vector<Task> tasks;
  if (plan->kind == FilePlan::Kind::kCopy) AddTasks(whole, &tasks);
  for (const TensorPlan& tensor : plan->tensors) AddTasks(tensor, &tasks);
  // What no task reads (headers, rewritten texts) was read to make the plan.
  uint64_t planned = plan->source->size();
  for (const Task& task : tasks) planned -= task.source_bytes;
  if (planned != 0) QSTORE_TRY(progress->Add(planned));

  const auto threads = static_cast<unsigned>(workers->size());
  const auto work = [&](const base::PipelineItem& item) {
    return (*workers)[item.worker]
        .Run(tasks[item.index], *plan->source, out)
        .WithContext(plan->source->path().string());
  };
  const auto retire = [&](const base::PipelineItem& item) {
    return progress->Add(tasks[item.index].source_bytes);
  };
  QSTORE_TRY(base::RunPipeline(tasks.size(), {threads, threads}, work, retire));
  QSTORE_TRY(plan->source->CheckUnchanged());
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

// A precision to make, in a folder of the output.
struct Wanted {
  QuantizeOptions options;
  std::string folder;  // With a '/' behind, or empty.
};

Result<std::vector<QuantizeReport>> MakePlanned(const std::filesystem::path& source,
                                                const std::filesystem::path& output,
                                                std::vector<QuantizePlan> plans,
                                                const QuantizeOptions& options) {
  QSTORE_TRY(CheckOutputIsNotSource(source, output));
  QSTORE_ASSIGN(auto tree, io::OutputTree::Create(output, {options.overwrite, options.sync}));
  uint64_t source_bytes = 0;
  for (const QuantizePlan& plan : plans) source_bytes += plan.report.source_bytes;
  ProgressCounter progress(options.progress, source_bytes);
  std::vector<Worker> workers(base::ThreadCount(options.threads));
  std::vector<QuantizeReport> reports;
  std::vector<std::string> written;
  for (QuantizePlan& plan : plans) {
    for (FilePlan& file : plan.files) {
      QSTORE_TRY(WriteFile(&file, &workers, &progress, &tree));
      written.push_back(file.path);
    }
    reports.push_back(std::move(plan.report));
  }
  if (options.overwrite) QSTORE_TRY(RemoveOldWeights(output, written, &tree));
  QSTORE_TRY(tree.Commit());
  return reports;
}

Result<std::vector<QuantizeReport>> RunQuantize(const std::filesystem::path& source,
                                                const std::filesystem::path& output,
                                                const std::vector<Wanted>& all) {
  std::vector<QuantizePlan> plans;
  for (const Wanted& wanted : all) {
    QSTORE_ASSIGN(QuantizePlan plan, PlanQuantize(source, wanted.options));
    for (FilePlan& file : plan.files) file.path.insert(0, wanted.folder);
    plans.push_back(std::move(plan));
  }
  const QuantizeOptions& options = all.front().options;
  if (!options.dry_run) return MakePlanned(source, output, std::move(plans), options);
  std::vector<QuantizeReport> reports;
  for (QuantizePlan& plan : plans) reports.push_back(std::move(plan.report));
  return reports;
}

Result<std::vector<Wanted>> AllWanted(std::span<const std::string> targets,
                                      const QuantizeOptions& options) {
  std::vector<Wanted> all;
  for (const std::string& name : targets) {
    const auto target = QuantizeTargetOf(name);
    if (!target) return InvalidArgument("'" + name + "' is no precision that is made here");
    const std::string folder = name + "/";
    const bool is_twice = std::any_of(all.begin(), all.end(),
                                      [&](const Wanted& one) { return one.folder == folder; });
    if (is_twice) return InvalidArgument("'" + name + "' is asked for twice");
    all.push_back({options, folder});
    all.back().options.target = *target;
    all.back().options.format = name;
  }
  if (all.empty()) return InvalidArgument("no precision is asked for");
  return all;
}

}  // namespace

Result<QuantizeReport> Quantize(const std::filesystem::path& source,
                                const std::filesystem::path& output,
                                const QuantizeOptions& options) {
  return base::Guarded([&]() -> Result<QuantizeReport> {
    QSTORE_ASSIGN(auto reports, RunQuantize(source, output, {{options, ""}}));
    return std::move(reports.front());
  });
}

Result<std::vector<QuantizeReport>> QuantizeEach(const std::filesystem::path& source,
                                                 const std::filesystem::path& output,
                                                 std::span<const std::string> targets,
                                                 const QuantizeOptions& options) {
  return base::Guarded([&]() -> Result<std::vector<QuantizeReport>> {
    QSTORE_ASSIGN(const auto all, AllWanted(targets, options));
    return RunQuantize(source, output, all);
  });
}

}  // namespace qstore::make
