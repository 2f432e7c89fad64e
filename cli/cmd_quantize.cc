// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "calibrated.h"
#include "commands.h"
#include "gguf_arguments.h"
#include "qstore_apps/quantize.h"
#include "qstore_apps/targets.h"
#include "terminal.h"
#include "values.h"

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
  GgufArguments gguf;
  std::vector<const CLI::Option*> not_of_calibrated;
  std::vector<const CLI::Option*> not_of_gguf;
};

void PrintNames(const char* what, const std::vector<std::string>& names) {
  for (const std::string& name : names) std::printf("%s %s\n", what, Printable(name).c_str());
}

/// One precision that was made, and its directory.
struct Made {
  std::string directory;
  std::string word;  // For a tensor that is quantized.
  bool is_cast = false;
  make::QuantizeReport report;
};

void PrintText(const QuantizeArguments& arguments, const Made& made) {
  const bool dry_run = arguments.options.dry_run;
  const make::QuantizeReport& report = made.report;
  if (arguments.list || dry_run) {
    PrintNames(made.word.c_str(), report.quantized);
    PrintNames("cast", report.cast);
    PrintNames("keep", report.kept_matrices);
  }
  const std::string where = dry_run ? "dry run" : Printable(made.directory);
  const auto kept = static_cast<unsigned long long>(report.kept);
  const size_t matrices = report.kept_matrices.size();
  if (made.is_cast) {
    std::fprintf(stderr, "%s: %zu tensors cast to %s, %llu kept (%zu of them matrices)\n",
                 where.c_str(), report.cast.size(), made.word.c_str(), kept, matrices);
  } else {
    std::fprintf(stderr, "%s: %zu tensors to %s, %zu cast, %llu kept (%zu of them matrices)\n",
                 where.c_str(), report.quantized.size(), made.word.c_str(), report.cast.size(),
                 kept, matrices);
  }
}

void PrintTime(const std::vector<Made>& all, double seconds) {
  uint64_t source_bytes = 0;
  uint64_t output_bytes = 0;
  for (const Made& made : all) {
    source_bytes += made.report.source_bytes;
    output_bytes += made.report.output_bytes;
  }
  std::fprintf(stderr, "%s to %s in %.2f s\n", HumanBytes(source_bytes).c_str(),
               HumanBytes(output_bytes).c_str(), seconds);
}

void AddDocument(const QuantizeArguments& arguments, const Made& made, JsonWriter* document) {
  const bool dry_run = arguments.options.dry_run;
  const make::QuantizeReport& report = made.report;
  document->Add("directory", made.directory);
  document->Add("dry_run", dry_run);
  document->Add("quantized", report.quantized.size());
  document->Add("cast", report.cast.size());
  document->Add("kept", report.kept);
  document->Add("kept_matrices", report.kept_matrices.size());
  document->Add("source_bytes", report.source_bytes);
  document->Add("output_bytes", report.output_bytes);
  if (arguments.list || dry_run) {
    document->Add("quantized_list", report.quantized);
    document->Add("cast_list", report.cast);
    document->Add("kept_matrix_list", report.kept_matrices);
  }
}

// One precision is the document itself; those of a list are a list in it.
void PrintDocument(const QuantizeArguments& arguments, const std::vector<Made>& all, bool is_list,
                   double seconds) {
  JsonWriter document;
  document.BeginObject();
  if (is_list) {
    document.BeginArray("targets");
    for (const Made& made : all) {
      document.BeginObject();
      document.Add("target", made.word);
      AddDocument(arguments, made, &document);
      document.End();
    }
    document.End();
  } else {
    AddDocument(arguments, all.front(), &document);
  }
  document.Add("seconds", seconds);
  document.End();
  PrintJson(document);
}

/// Throws CLI::ValidationError when an option was given that what is made here does not have.
void CheckNotGiven(const CLI::Option* option, const std::string& what) {
  if (option == nullptr || option->count() == 0) return;
  throw CLI::ValidationError(option->get_name(), "has no meaning for " + what);
}

int RunCalibrated(const QuantizeArguments& arguments, const std::string& targets) {
  const std::string what = "--to " + arguments.to;
  for (const CLI::Option* option : arguments.not_of_calibrated) CheckNotGiven(option, what);
  CheckNotGiven(arguments.gguf.given(), what);
  std::vector<std::string> shared;
  if (arguments.options.overwrite) shared.push_back("--force");
  if (arguments.json) shared.push_back("--json");
  return arguments.calibrated.Run(arguments.source, arguments.output, targets, shared);
}

int Print(const QuantizeArguments& arguments, const std::vector<Made>& all, bool is_list,
          double seconds) {
  if (arguments.json) {
    PrintDocument(arguments, all, is_list, seconds);
    return kExitDone;
  }
  for (const Made& made : all) PrintText(arguments, made);
  if (!arguments.options.dry_run) PrintTime(all, seconds);
  return kExitDone;
}

bool IsCast(const std::string& name) {
  const auto target = make::QuantizeTargetOf(name);
  return target == make::QuantizeTarget::kBF16 || target == make::QuantizeTarget::kF16;
}

int RunOne(const QuantizeArguments& arguments, const std::string& name) {
  make::QuantizeOptions options = arguments.options;
  options.target = *make::QuantizeTargetOf(name);
  options.format = name;
  ProgressLine line("quantizing");
  options.progress = line.callback();
  const auto report = make::Quantize(arguments.source, arguments.output, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  const bool is_cast = IsCast(name);
  const bool is_named = is_cast || options.target == make::QuantizeTarget::kFormat;
  return Print(arguments, {{arguments.output, is_named ? name : "int8", is_cast, *report}}, false,
               line.seconds());
}

int RunList(const QuantizeArguments& arguments, const std::vector<std::string>& names) {
  make::QuantizeOptions options = arguments.options;
  ProgressLine line("quantizing");
  options.progress = line.callback();
  const auto reports = make::QuantizeEach(arguments.source, arguments.output, names, options);
  line.Clear();
  if (!reports.ok()) return Report(reports.status());
  std::vector<Made> all;
  for (size_t i = 0; i < names.size(); ++i) {
    all.push_back({arguments.output + "/" + names[i], names[i], IsCast(names[i]), (*reports)[i]});
  }
  return Print(arguments, all, true, line.seconds());
}

int RunGguf(const QuantizeArguments& arguments) {
  constexpr char kWhat[] = "GGUF files";
  for (const CLI::Option* option : arguments.not_of_gguf) CheckNotGiven(option, kWhat);
  CheckNotGiven(arguments.calibrated.given(), kWhat);
  const make::QuantizeOptions& options = arguments.options;
  return arguments.gguf.Run({arguments.source, arguments.output, arguments.to, arguments.list,
                             arguments.json, options.dry_run, options.overwrite, options.sync,
                             options.threads});
}

int RunQuantize(const QuantizeArguments& arguments) {
  if (GgufArguments::IsGguf(arguments.source)) return RunGguf(arguments);
  const std::string to = CLI::detail::to_lower(arguments.to);
  if (const auto targets = arguments.calibrated.Targets(to)) {
    return RunCalibrated(arguments, *targets);
  }
  const std::vector<std::string> names = make::SplitAtCommas(to);
  for (const std::string& name : names) {
    if (make::QuantizeTargetOf(name)) continue;
    if (make::IsGgufTarget(name)) {
      throw CLI::ValidationError("--to", "'" + name + "' is made of a .gguf file");
    }
    throw CLI::ValidationError("--to", "'" + name + "' is none of " + make::TargetNames());
  }
  CheckNotGiven(arguments.calibrated.given(), "--to " + arguments.to);
  CheckNotGiven(arguments.gguf.given(), "what is no .gguf file");
  return names.size() == 1 ? RunOne(arguments, to) : RunList(arguments, names);
}

}  // namespace

void AddQuantizeCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<QuantizeArguments>();
  make::QuantizeOptions& options = arguments->options;
  command->add_option("source", arguments->source, "Model directory, .safetensors or .gguf file")
      ->required();
  command->add_option("-o,--output", arguments->output, "Directory to write")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--to", arguments->to,
                   "Precision to make, or several with commas between; see below")
      ->required()
      ->type_name("PRECISION,...");
  // Not found by their names later, which in CLI11 ends the process where there is no memory.
  const auto not_of_calibrated = [&](CLI::Option* option) {
    arguments->not_of_calibrated.push_back(option);
  };
  const auto not_of_both = [&](CLI::Option* option) {
    arguments->not_of_gguf.push_back(option);
    not_of_calibrated(option);
  };
  not_of_both(TakeEnum<make::QuantizeRest>(
      command->add_option("--rest", options.rest,
                          "Type of the floats that are not quantized (default: keep)"),
      {{"keep", make::QuantizeRest::kKeep},
       {"bf16", make::QuantizeRest::kBF16},
       {"fp16", make::QuantizeRest::kF16}}));
  not_of_both(
      command
          ->add_option("--include", options.include,
                       "Also quantize matrices of these names; * and ? stand for any characters")
          ->option_text("PATTERN"));
  not_of_both(
      command->add_option("--exclude", options.exclude, "Do not quantize matrices of these names")
          ->option_text("PATTERN"));
  not_of_calibrated(
      command->add_flag("--list", arguments->list, "Print what becomes of each tensor"));
  not_of_calibrated(command->add_flag("--dry-run", options.dry_run,
                                      "Only print what becomes of each tensor; write nothing"));
  not_of_calibrated(AddThreads(command, &options.threads));
  not_of_calibrated(
      command->add_flag("!--no-sync", options.sync, "Do not wait until the files are on the disk"));
  command->add_flag(
      "--force", options.overwrite,
      "Replace files of the same names, and remove other shards and old indexes beside them");
  AddJson(command, &arguments->json);
  arguments->calibrated.AddOptions(*command);
  arguments->gguf.AddOptions(*command);
  command->footer(
      "Precisions: " + make::TargetNames() +
      "; of a .gguf file q4_k_m, q8_0 and others.\n"
      "llm-int8 quantizes the two-dimensional weights of linear layers, as bitsandbytes does. It "
      "leaves embeddings and output heads as they are, which it knows by their names.\n"
      "The targets of FP8, FP4, int8 and int4 take the same matrices and write what "
      "compressed-tensors writes. fp8-fine-grained writes what transformers writes, and nf4 what "
      "bitsandbytes writes.\n"
      "A matrix that does not fit a target is an error; --exclude leaves it as it is.\n"
      "A list writes each precision to the folder of DIR that has its name.\n"
      "gptq-Nbit runs the model on calibration text and cannot be in a list with other targets. It "
      "needs: pip install 'qstore[quantize]'.\n"
      "gptq writes one precision to DIR itself, and several to DIR/16bit, DIR/8bit and so on. An "
      "interrupted run leaves DIR.quantizing, from which the same command goes on.\n"
      "Of MODEL.gguf each precision becomes DIR/MODEL-PRECISION.gguf. It has the bytes that "
      "llama-quantize of llama.cpp makes.");
  command->callback([arguments, exit_code] { *exit_code = RunQuantize(*arguments); });
}

}  // namespace qstore::cli
