// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "qstore/quantize.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

struct QuantizeArguments {
  std::string source;
  std::string output;
  bool list = false;
  bool json = false;
  QuantizeOptions options;
};

void PrintNames(const char* what, const std::vector<std::string>& names) {
  for (const std::string& name : names) std::printf("%s %s\n", what, Printable(name).c_str());
}

void PrintText(const QuantizeArguments& arguments, const QuantizeReport& report, double seconds) {
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

void PrintDocument(const QuantizeArguments& arguments, const QuantizeReport& report,
                   double seconds) {
  const bool dry_run = arguments.options.dry_run;
  nlohmann::ordered_json document = {{"directory", arguments.output},
                                     {"dry_run", dry_run},
                                     {"quantized", report.quantized.size()},
                                     {"cast", report.cast.size()},
                                     {"kept", report.kept},
                                     {"kept_matrices", report.kept_matrices.size()},
                                     {"source_bytes", report.source_bytes},
                                     {"output_bytes", report.output_bytes},
                                     {"seconds", seconds}};
  if (arguments.list || dry_run) {
    document["quantized_list"] = report.quantized;
    document["cast_list"] = report.cast;
    document["kept_matrix_list"] = report.kept_matrices;
  }
  PrintJson(document);
}

int RunQuantize(const QuantizeArguments& arguments) {
  QuantizeOptions options = arguments.options;
  ProgressLine line("quantizing");
  options.progress = line.callback();
  const auto report = Quantize(arguments.source, arguments.output, options);
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
  QuantizeOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("quantize", "Make another precision of a model: LLM.int8(), BF16 or FP16");
  command->add_option("source", arguments->source, "Model directory or .safetensors file")
      ->required();
  command->add_option("-o,--output", arguments->output, "Directory to write")->required();
  command->add_option("--to", options.target, "llm-int8, bf16 or fp16")
      ->required()
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, QuantizeTarget>{{"llm-int8", QuantizeTarget::kLlmInt8},
                                                {"bf16", QuantizeTarget::kBF16},
                                                {"fp16", QuantizeTarget::kF16}},
          CLI::ignore_case));
  command
      ->add_option("--rest", options.rest,
                   "What llm-int8 does with other float tensors: keep (default), bf16 or fp16")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, QuantizeRest>{{"keep", QuantizeRest::kKeep},
                                                                      {"bf16", QuantizeRest::kBF16},
                                                                      {"fp16", QuantizeRest::kF16}},
                                  CLI::ignore_case));
  command
      ->add_option("--include", options.include,
                   "Also quantize matrices of these names; * and ? stand for any characters")
      ->option_text("PATTERN");
  command->add_option("--exclude", options.exclude, "Do not quantize matrices of these names")
      ->option_text("PATTERN");
  command->add_flag("--list", arguments->list, "Print what becomes of each tensor");
  command->add_flag("--dry-run", options.dry_run, "Only print it; write nothing");
  command->add_option("--threads", options.threads, "Default: one for each processor");
  command->add_flag("!--no-sync", options.sync, "Do not wait until the files are on the disk");
  command->add_flag(
      "--force", options.overwrite,
      "Replace files of the same names; remove other shards and old indexes beside them");
  command->add_flag("--json", arguments->json, "Print the result as JSON, with --list its lists");
  command->footer(
      "llm-int8 quantizes every two-dimensional P.weight whose module P is, by its name, no\n"
      "embedding (embed_*, *embedding(s), wte, wpe, shared, ...) and no output head (lm_head,\n"
      "predictions.decoder, embed_out, output_layer, ...), as bitsandbytes does.");
  command->callback([arguments, exit_code] { *exit_code = RunQuantize(*arguments); });
}

}  // namespace qstore::cli
