// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "pack_summary.h"
#include "plan_arguments.h"
#include "print_estimate.h"
#include "qstore/estimate.h"
#include "qstore/pack.h"
#include "terminal.h"
#include "values.h"
#include "variant_arguments.h"

namespace qstore::cli {
namespace {

struct PackArguments {
  std::string output;
  VariantArguments variants;
  PlanArguments plan;
  PackOptions options;
  bool estimate = false;
  bool json = false;
};

PackOptions OptionsOf(const PackArguments& arguments) {
  PackOptions options = arguments.options;
  arguments.plan.ApplyTo(&options);
  return options;
}

int RunEstimate(const PackArguments& arguments) {
  const auto variants = arguments.variants.List();
  if (!variants.ok()) return Report(variants.status());
  PackOptions options = OptionsOf(arguments);
  ProgressLine line("estimating");
  options.progress = line.callback();
  const auto estimate = EstimatePack(*variants, options);
  line.Clear();
  if (!estimate.ok()) return Report(estimate.status());
  if (arguments.json) {
    PrintEstimateAsJson(*estimate, line.seconds());
  } else {
    PrintEstimate(*estimate);
  }
  return kExitDone;
}

int RunPack(const PackArguments& arguments) {
  const auto variants = arguments.variants.List();
  if (!variants.ok()) return Report(variants.status());
  PackOptions options = OptionsOf(arguments);
  ProgressLine line("packing");
  options.progress = line.callback();
  auto report = Pack(*variants, arguments.output, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  const auto archive = Archive::Open(arguments.output);
  const auto summary = archive.ok() ? SummarizePack(*archive, *variants) : archive.status();
  const double share = report->source_bytes == 0 ? 0
                                                 : 100 * static_cast<double>(report->stored_bytes) /
                                                       static_cast<double>(report->source_bytes);
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("archive", arguments.output);
    document.Add("source_bytes", report->source_bytes);
    document.Add("stored_bytes", report->stored_bytes);
    document.Add("seconds", line.seconds());
    if (summary.ok()) AddTo(*summary, &document);
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %s of files in %s (%.1f %%), %.2f s\n", arguments.output.c_str(),
                 HumanBytes(report->source_bytes).c_str(), HumanBytes(report->stored_bytes).c_str(),
                 share, line.seconds());
    if (summary.ok()) std::fputs(TextOf(*summary).c_str(), stderr);
  }
  return kExitDone;
}

}  // namespace

void AddPackCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<PackArguments>();
  const CLI::Option* output = command
                                  ->add_option("-o,--output", arguments->output,
                                               "Archive to write (not needed with --estimate)")
                                  ->type_name("OUT.qstore");
  arguments->variants.AddOptions(
      command, "Name of a variant, and its model directory or file",
      "Store every model in this folder, named by its file or subfolder");
  arguments->plan.AddOptions(command,
                             "Code CHILD relative to PARENT only (default: choose by measurement)",
                             "Store this variant without parents, so that it loads alone");
  command->add_flag("--sha256", arguments->options.sha256,
                    "Store the SHA-256 of each file too, which takes longer");
  command->add_flag("--force", arguments->options.overwrite, "Replace an existing archive");
  command->add_flag("--estimate", arguments->estimate,
                    "Write nothing; estimate from samples what each variant adds and what loading "
                    "it reads");
  AddJson(command, &arguments->json);
  command->callback([=] {
    if (arguments->variants.empty()) throw CLI::RequiredError("variants");
    if (arguments->estimate) {
      *exit_code = RunEstimate(*arguments);
      return;
    }
    RefuseStandardOutput(output->get_name(), arguments->output);
    if (output->count() == 0) throw CLI::RequiredError(output->get_name());
    *exit_code = RunPack(*arguments);
  });
}

}  // namespace qstore::cli
