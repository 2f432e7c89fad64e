// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <map>
#include <memory>

#include "commands.h"
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
  std::vector<std::string> parents;
  PackOptions options;
  bool estimate = false;
  bool json = false;
};

ParentChoice ParseParent(const std::string& text) {
  const size_t equals = text.find('=');
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string CheckParent(const std::string& text) {
  const size_t equals = text.find('=');
  const bool fits = equals != std::string::npos && equals > 0 && equals + 1 < text.size();
  return fits ? std::string() : "'" + text + "' is not CHILD=PARENT";
}

PackOptions OptionsOf(const PackArguments& arguments) {
  PackOptions options = arguments.options;
  for (const std::string& text : arguments.parents) options.parents.push_back(ParseParent(text));
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
  static const std::map<std::string, Level> kLevels = {
      {"fast", Level::kFast}, {"balanced", Level::kBalanced}, {"max", Level::kMax}};
  auto arguments = std::make_shared<PackArguments>();
  CLI::App* command = app.add_subcommand("pack", "Store variants of a model in one archive");
  const CLI::Option* output =
      command
          ->add_option("-o,--output", arguments->output, "Archive to write; --estimate needs none")
          ->type_name("OUT.qstore");
  arguments->variants.AddOptions(
      command, "Name and model directory or file of each",
      "Store every model in this folder, named by its file or subfolder; may be repeated");
  command->add_option("--level", arguments->options.level, "fast, balanced (default) or max")
      ->transform(CLI::CheckedTransformer(kLevels, CLI::ignore_case))
      ->type_name("LEVEL");
  command
      ->add_option("--parent", arguments->parents,
                   "Code CHILD relative to PARENT only (default: choose by measurement)")
      ->check(CLI::Validator(CheckParent, ""))
      ->type_name("CHILD=PARENT")
      ->allow_extra_args(false);
  command
      ->add_option("--direct", arguments->options.direct,
                   "Variant that must load from its own bytes; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--threads", arguments->options.threads, "0: all processors (default)")
      ->type_name("N");
  command->add_option("--memory", arguments->options.memory_limit, "Aim for memory in use (512MiB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
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
