// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "qstore_apps/synth.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct SynthArguments {
  std::string directory;
  std::string shape;
  make::SynthOptions options;
  bool json = false;
};

// "RxC", both decimal.
std::string CheckShape(const std::string& text) {
  uint64_t rows = 0;
  uint64_t columns = 0;
  char behind = 0;
  const int got = std::sscanf(text.c_str(), "%20lux%20lu%c", &rows, &columns, &behind);
  return got == 2 && rows != 0 && columns != 0 ? "" : "must be ROWSxCOLUMNS, as 4096x4096";
}

int RunSynth(const SynthArguments& arguments) {
  make::SynthOptions options = arguments.options;
  if (!arguments.shape.empty()) {
    std::sscanf(arguments.shape.c_str(), "%20lux%20lu", &options.rows, &options.columns);
  }
  ProgressLine line("inventing");
  options.progress = line.callback();
  const auto report = make::Synthesize(arguments.directory, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("directory", arguments.directory);
    document.Add("tensors", report->tensors);
    document.Add("weights", report->weights);
    document.Add("tensor_bytes", report->tensor_bytes);
    document.Add("shards", report->shards);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %llu tensors, %.1f M weights, %s in %llu file%s, %.2f s\n",
                 arguments.directory.c_str(), static_cast<unsigned long long>(report->tensors),
                 static_cast<double>(report->weights) / 1e6,
                 HumanBytes(report->tensor_bytes).c_str(),
                 static_cast<unsigned long long>(report->shards), report->shards == 1 ? "" : "s",
                 line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddSynthCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<SynthArguments>();
  make::SynthOptions& options = arguments->options;
  command->add_option("-o,--output", arguments->directory, "Directory to write")
      ->required()
      ->type_name("DIR");
  command->add_option("--seed", options.seed, "Seed of all random numbers (default: 0)")
      ->type_name("N");
  TakeEnum<DType>(
      command->add_option("--dtype", options.dtype, "Type of the weights (default: bf16)"),
      {{"bf16", DType::kBF16}, {"fp16", DType::kF16}, {"f32", DType::kF32}});

  CLI::Option* shape = command
                           ->add_option("--shape", arguments->shape,
                                        "Make matrices of this shape, such as 4096x4096")
                           ->check(CLI::Validator(CheckShape, ""))
                           ->type_name("RxC")
                           ->group("Matrices");
  command->add_option("--count", options.count, "How many matrices (default: 1)")
      ->needs(shape)
      ->check(CLI::PositiveNumber)
      ->group("Matrices");

  for (const auto& [name, field, text] :
       {std::tuple("--layers", &options.layers, "Layers (default: 4)"),
        std::tuple("--hidden", &options.hidden, "Hidden size (default: by --size)"),
        std::tuple("--intermediate", &options.intermediate,
                   "Size of the MLP (default: 8/3 of --hidden)"),
        std::tuple("--vocab", &options.vocab, "Rows of the embedding (default: 32000)")}) {
    command->add_option(name, *field, text)
        ->excludes(shape)
        ->check(CLI::PositiveNumber)
        ->group("LLaMA layout (without --shape)");
  }
  TakeSize(command->add_option("--size", options.size_bytes,
                               "About so many bytes of tensors, such as 6GB; chooses --count or "
                               "--layers"));

  command->add_option("--deviation", options.deviation, "Standard deviation of a weight")
      ->capture_default_str()
      ->group("Law");
  command
      ->add_option("--row-spread", options.row_spread, "Deviation of the logarithm of row factors")
      ->capture_default_str()
      ->group("Law");
  command
      ->add_option("--column-spread", options.column_spread,
                   "Deviation of the logarithm of column factors")
      ->capture_default_str()
      ->group("Law");
  command
      ->add_option(
          "--student-t", options.student_t,
          "Heavy tails: Student's t with NU degrees of freedom, at least 2 (default: normal)")
      ->option_text("NU")
      ->group("Law");
  command
      ->add_option("--outlier-columns", options.outlier_columns,
                   "Part of the columns, 0 to 1, whose weights are 16 times as large")
      ->option_text("FRACTION")
      ->group("Law");

  TakeSize(command->add_option("--shard-size", options.shard_bytes,
                               "Most bytes of a file, such as 5GB"));
  AddThreads(command, &options.threads);
  command->add_flag(
      "--force", options.overwrite,
      "Replace files of the same names, and remove other shards and old indexes beside them");
  command->add_flag("!--no-sync", options.sync, "Do not wait until the files are on the disk");
  AddJson(command, &arguments->json);
  command->callback([arguments, exit_code] { *exit_code = RunSynth(*arguments); });
}

}  // namespace qstore::cli
