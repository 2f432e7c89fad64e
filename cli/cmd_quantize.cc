// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "calibrated.h"
#include "commands.h"
#include "qstore_apps/quantize.h"
#include "qstore_apps/targets.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

struct QuantizeArguments {
  std::string source;
  std::string output;
  std::string to;
  bool list = false;
  bool json = false;
  make::QuantizeOptions options;
  CalibratedArguments calibrated;
  std::vector<const CLI::Option*> not_of_calibrated;
};

void PrintNames(const char* what, const std::vector<std::string>& names) {
  for (const std::string& name : names) std::printf("%s %s\n", what, Printable(name).c_str());
}

void PrintText(const QuantizeArguments& arguments, const make::QuantizeReport& report,
               double seconds) {
  const bool dry_run = arguments.options.dry_run;
  if (arguments.list || dry_run) {
    PrintNames("int8", report.quantized);
    PrintNames("cast", report.cast);
    PrintNames("keep", report.kept_matrices);
  }
  std::fprintf(stderr, "%s: %zu tensors to int8, %zu cast, %llu kept (%zu of them matrices)\n",
               dry_run ? "dry run" : arguments.output.c_str(), report.quantized.size(),
               report.cast.size(), static_cast<unsigned long long>(report.kept),
               report.kept_matrices.size());
  if (dry_run) return;
  std::fprintf(stderr, "%.1f MB to %.1f MB in %.2f s\n",
               static_cast<double>(report.source_bytes) / 1e6,
               static_cast<double>(report.output_bytes) / 1e6, seconds);
}

void PrintDocument(const QuantizeArguments& arguments, const make::QuantizeReport& report,
                   double seconds) {
  const bool dry_run = arguments.options.dry_run;
  JsonWriter document;
  document.BeginObject();
  document.Add("directory", arguments.output);
  document.Add("dry_run", dry_run);
  document.Add("quantized", report.quantized.size());
  document.Add("cast", report.cast.size());
  document.Add("kept", report.kept);
  document.Add("kept_matrices", report.kept_matrices.size());
  document.Add("source_bytes", report.source_bytes);
  document.Add("output_bytes", report.output_bytes);
  document.Add("seconds", seconds);
  if (arguments.list || dry_run) {
    document.Add("quantized_list", report.quantized);
    document.Add("cast_list", report.cast);
    document.Add("kept_matrix_list", report.kept_matrices);
  }
  document.End();
  PrintJson(document);
}

/// Throws CLI::ValidationError when an option was given that this target does not have.
void CheckNotGiven(const CLI::Option* option, const std::string& target) {
  if (option == nullptr || option->count() == 0) return;
  throw CLI::ValidationError(option->get_name(), "has no meaning for --to " + target);
}

int RunCalibrated(const QuantizeArguments& arguments, const std::string& targets) {
  for (const CLI::Option* option : arguments.not_of_calibrated) CheckNotGiven(option, arguments.to);
  std::vector<std::string> shared;
  if (arguments.options.overwrite) shared.push_back("--force");
  if (arguments.json) shared.push_back("--json");
  return arguments.calibrated.Run(arguments.source, arguments.output, targets, shared);
}

int RunQuantize(const QuantizeArguments& arguments) {
  const std::string to = CLI::detail::to_lower(arguments.to);
  if (const auto targets = arguments.calibrated.Targets(to)) {
    return RunCalibrated(arguments, *targets);
  }
  const auto target = make::QuantizeTargetOf(to);
  if (!target) {
    throw CLI::ValidationError("--to", "'" + arguments.to + "' is none of " + make::TargetNames());
  }
  CheckNotGiven(arguments.calibrated.given(), arguments.to);
  make::QuantizeOptions options = arguments.options;
  options.target = *target;
  ProgressLine line("quantizing");
  options.progress = line.callback();
  const auto report = make::Quantize(arguments.source, arguments.output, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    PrintDocument(arguments, *report, line.seconds());
  } else {
    PrintText(arguments, *report, line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<QuantizeArguments>();
  make::QuantizeOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand(
      "quantize", "Make another precision of a model: LLM.int8(), GPTQ, BF16 or FP16");
  command->add_option("source", arguments->source, "Model directory or .safetensors file")
      ->required();
  command->add_option("-o,--output", arguments->output, "Directory to write")->required();
  command
      ->add_option("--to", arguments->to,
                   "llm-int8, bf16, fp16, or gptq-Nbit with N 2, 3, 4, 8; of these also a list")
      ->required();
  // Not found by their names later, which in CLI11 ends the process where there is no memory.
  const auto not_of_calibrated = [&](CLI::Option* option) {
    arguments->not_of_calibrated.push_back(option);
  };
  not_of_calibrated(
      command
          ->add_option("--rest", options.rest,
                       "What llm-int8 does with other float tensors: keep (default), bf16 or fp16")
          ->transform(CLI::CheckedTransformer(
              std::map<std::string, make::QuantizeRest>{{"keep", make::QuantizeRest::kKeep},
                                                        {"bf16", make::QuantizeRest::kBF16},
                                                        {"fp16", make::QuantizeRest::kF16}},
              CLI::ignore_case)));
  not_of_calibrated(
      command
          ->add_option("--include", options.include,
                       "Also quantize matrices of these names; * and ? stand for any characters")
          ->option_text("PATTERN"));
  not_of_calibrated(
      command->add_option("--exclude", options.exclude, "Do not quantize matrices of these names")
          ->option_text("PATTERN"));
  not_of_calibrated(
      command->add_flag("--list", arguments->list, "Print what becomes of each tensor"));
  not_of_calibrated(
      command->add_flag("--dry-run", options.dry_run, "Only print it; write nothing"));
  not_of_calibrated(
      command->add_option("--threads", options.threads, "Default: one for each processor"));
  not_of_calibrated(
      command->add_flag("!--no-sync", options.sync, "Do not wait until the files are on the disk"));
  command->add_flag(
      "--force", options.overwrite,
      "Replace files of the same names; remove other shards and old indexes beside them");
  command->add_flag("--json", arguments->json, "Print the result as JSON, with --list its lists");
  arguments->calibrated.AddOptions(*command);
  command->footer(
      "llm-int8 quantizes every two-dimensional P.weight whose module P is, by its name, no\n"
      "embedding (embed_*, *embedding(s), wte, wpe, shared, ...) and no output head (lm_head,\n"
      "predictions.decoder, embed_out, output_layer, ...), as bitsandbytes does.\n"
      "gptq-Nbit runs the model on calibration text. One precision is written to the output "
      "itself,\n"
      "several to 16bit, 8bit, ... in it. An interrupted run leaves OUTPUT.quantizing, from which\n"
      "the same command goes on. QSTORE_PYTHON names the Python that has 'qstore[quantize]'.");
  command->callback([arguments, exit_code] { *exit_code = RunQuantize(*arguments); });
}

}  // namespace qstore::cli
