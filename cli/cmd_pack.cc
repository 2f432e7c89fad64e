// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "plan_arguments.h"
#include "print_estimate.h"
#include "qstore/estimate.h"
#include "qstore/pack.h"
#include "terminal.h"
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
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %s of files in %s (%.1f %%), %.2f s\n", arguments.output.c_str(),
                 HumanBytes(report->source_bytes).c_str(), HumanBytes(report->stored_bytes).c_str(),
                 share, line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddPackCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<PackArguments>();
  CLI::App* command = app.add_subcommand("pack", "Store variants of a model in one archive");
  const CLI::Option* output =
      command
          ->add_option("-o,--output", arguments->output, "Archive to write; --estimate needs none")
          ->type_name("OUT.qstore");
  arguments->variants.AddOptions(
      command, "Name and model directory or file of each",
      "Store every model in this folder, named by its file or subfolder; may be repeated");
  arguments->plan.AddOptions(command,
                             "Code CHILD relative to PARENT only (default: choose by measurement)",
                             "Variant that must load from its own bytes; may be repeated");
  command->add_flag("--sha256", arguments->options.sha256,
                    "Store the SHA-256 of each file too; takes longer");
  command->add_flag("--force", arguments->options.overwrite, "Replace an existing archive");
  command->add_flag("--estimate", arguments->estimate,
                    "Write nothing; tell what each variant and the archive would take, and what "
                    "loads would read, from samples of the files");
  command->add_flag("--json", arguments->json, "Print the result as JSON");
  command->callback([=] {
    if (arguments->variants.empty()) throw CLI::RequiredError("variants");
    if (arguments->estimate) {
      *exit_code = RunEstimate(*arguments);
      return;
    }
    if (output->count() == 0) throw CLI::RequiredError(output->get_name());
    *exit_code = RunPack(*arguments);
  });
}

}  // namespace qstore::cli
