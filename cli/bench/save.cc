// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "command.h"
#include "measure.h"
#include "posix_file.h"
#include "qstore/pack.h"
#include "scratch_file.h"

namespace qstore::cli {
namespace {

struct SaveArguments {
  std::vector<std::string> variants;
  std::string directory;
  std::string level = "balanced";
  bool sync = false;
  MeasureOptions measure;
};

const std::map<std::string, Level> kLevels = {
    {"fast", Level::kFast}, {"balanced", Level::kBalanced}, {"max", Level::kMax}};

void PrintSave(const SaveArguments& arguments, const std::vector<VariantSource>& variants,
               const Measurement& measurement, const PackReport& report) {
  if (!arguments.measure.json) {
    return measurement.Print("save, level " + arguments.level, report.source_bytes,
                             report.stored_bytes);
  }
  JsonWriter document;
  document.BeginObject();
  document.Add("operation", "save");
  document.Add("level", arguments.level);
  document.Add("sync", arguments.sync);
  document.BeginArray("variants");
  for (const VariantSource& variant : variants) document.Append(variant.name);
  document.End();
  measurement.AddTo(&document);
  document.Add("bytes", report.source_bytes);
  document.Add("stored_bytes", report.stored_bytes);
  document.End();
  PrintJson(document);
}

Status Measure(const SaveArguments& arguments) {
  const auto variants = ParseVariants(arguments.variants);
  std::vector<std::filesystem::path> files;
  for (const VariantSource& variant : variants) {
    const auto below = FilesBelow(variant.path);
    if (!below.ok()) return below.status();
    files.insert(files.end(), below->begin(), below->end());
  }
  const ScratchFile output(arguments.directory);
  ProgressLine line("packing");
  PackOptions options;
  options.level = kLevels.at(arguments.level);
  options.threads = arguments.measure.threads;
  options.sync = arguments.sync;
  options.overwrite = true;
  options.progress = line.callback();
  PackReport report;
  Measurement measurement(arguments.measure);
  const Status status = measurement.Repeat(files, [&](RunClock* clock) -> Status {
    const auto packed = Pack(variants, output.path(), options);
    clock->Stop();
    // Lest the next run pay for freeing it.
    std::error_code ignored;
    std::filesystem::remove(output.path(), ignored);
    if (packed.ok()) report = *packed;
    return packed.status();
  });
  if (status.ok()) PrintSave(arguments, variants, measurement, report);
  return status;
}

int RunSave(const SaveArguments& arguments) {
  const Status status = Measure(arguments);
  return status.ok() ? kExitDone : Report(status);
}

}  // namespace

void AddBenchSave(CLI::App* bench, int* exit_code) {
  auto arguments = std::make_shared<SaveArguments>();
  CLI::App* command = bench->add_subcommand("save", "Time packing to a temporary archive");
  command->add_option("variants", arguments->variants, "Name and model directory or file of each")
      ->required()
      ->type_name("NAME=PATH");
  std::vector<std::string> names;
  for (const auto& [name, level] : kLevels) names.push_back(name);
  command->add_option("--level", arguments->level, "fast, balanced (default) or max")
      ->check(CLI::IsMember(names))
      ->type_name("LEVEL");
  command->add_option("--directory", arguments->directory, "Where the archive goes for that time")
      ->check(CLI::ExistingDirectory);
  command->add_flag("--sync", arguments->sync, "Also wait until it has reached the disk");
  AddRunOptions(command, &arguments->measure);
  command->callback([=] { *exit_code = RunSave(*arguments); });
}

}  // namespace qstore::cli
