// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "cli/values.h"
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
  Level level = Level::kBalanced;
  bool sync = false;
  MeasureOptions measure;
};

void PrintSave(const SaveArguments& arguments, const std::vector<VariantSource>& variants,
               const Measurement& measurement, const PackReport& report) {
  if (!arguments.measure.json) {
    return measurement.Print("save, level " + LevelWord(arguments.level), report.source_bytes,
                             report.stored_bytes);
  }
  JsonWriter document;
  document.BeginObject();
  document.Add("operation", "save");
  document.Add("level", LevelWord(arguments.level));
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
  options.level = arguments.level;
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

void AddBenchSave(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<SaveArguments>();
  command
      ->add_option("variants", arguments->variants,
                   "Name of a variant, and its model directory or file")
      ->required()
      ->type_name("NAME=PATH");
  TakeLevel(command->add_option("--level", arguments->level,
                                "How much time packing may take (default: balanced)"));
  command->add_option("--directory", arguments->directory, "Directory for the temporary archive")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIR");
  command->add_flag("--sync", arguments->sync, "Also wait until the archive has reached the disk");
  AddRunOptions(command, &arguments->measure);
  command->callback([=] { *exit_code = RunSave(*arguments); });
}

}  // namespace qstore::cli
