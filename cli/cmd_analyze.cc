// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <memory>
#include <span>

#include "bench/posix_file.h"
#include "commands.h"
#include "draw.h"
#include "qstore_apps/analyze.h"
#include "terminal.h"
#include "values.h"
#include "zipnn.h"

namespace qstore::cli {
namespace {

struct AnalyzeArguments {
  std::vector<std::string> variants;
  std::string output;
  std::vector<std::string> methods = {"huffman", "zstd", "conditional"};
  std::string target;
  std::string given;
  std::string sample;
  bool json = false;
  analyze::AnalyzeOptions options;
};

// A share such as 0.1, or a number of rows. Throws CLI::ValidationError.
void ParseSample(const std::string& text, analyze::AnalyzeOptions* options) {
  const char* end = text.data() + text.size();
  if (text.find('.') == std::string::npos) {
    const auto parsed = std::from_chars(text.data(), end, options->sample_rows);
    if (parsed.ec == std::errc() && parsed.ptr == end && options->sample_rows > 0) return;
  } else {
    const auto parsed = std::from_chars(text.data(), end, options->sample);
    const bool number = parsed.ec == std::errc() && parsed.ptr == end;
    if (number && options->sample > 0 && options->sample <= 1) return;
  }
  throw CLI::ValidationError("--sample is a share such as 0.1 or a number of rows, not '" + text +
                             "'");
}

bool Has(const AnalyzeArguments& arguments, const char* method) {
  const auto& methods = arguments.methods;
  return std::find(methods.begin(), methods.end(), method) != methods.end() ||
         std::find(methods.begin(), methods.end(), "all") != methods.end();
}

Result<analyze::AnalyzeOptions> Options(const AnalyzeArguments& arguments) {
  analyze::AnalyzeOptions options = arguments.options;
  if (!arguments.sample.empty()) ParseSample(arguments.sample, &options);
  if (!arguments.target.empty()) options.pairs = {{arguments.target, arguments.given}};
  options.huffman = Has(arguments, "huffman");
  options.conditional = Has(arguments, "conditional");
  if (!Has(arguments, "zstd")) options.zstd.clear();
  if (Has(arguments, "zipnn")) {
    auto zipnn = Zipnn::Start();
    if (!zipnn.ok()) return zipnn.status();
    options.zipnn = [zipnn = *zipnn](const std::filesystem::path& file, uint64_t offset,
                                     uint64_t size, DType dtype) {
      return zipnn->Size(file, offset, size, dtype);
    };
  }
  return options;
}

void PrintTotals(const char* title, const std::vector<analyze::AnalyzeTotal>& totals) {
  std::printf("%s\n", title);
  for (const analyze::AnalyzeTotal& total : totals) {
    std::string of = total.of.empty() ? "all" : total.of;
    if (!total.given.empty()) of += " given " + total.given;
    std::printf("  %-28s %-24s %8.3f b/w\n", total.method.c_str(), of.c_str(),
                total.bits_per_weight());
  }
}

int PrintSummary(const std::string& output) {
  const auto file = PosixFile::OpenRead(std::filesystem::path(output) / "summary.json");
  if (!file.ok()) return Report(file.status());
  std::string text(static_cast<size_t>((*file)->size()), '\0');
  const Status read = (*file)->ReadAt(0, std::as_writable_bytes(std::span(text)));
  if (!read.ok()) return Report(read);
  std::cout << text;
  return kExitDone;
}

int RunAnalyze(const AnalyzeArguments& arguments) {
  const std::vector<VariantSource> variants = ParseVariants(arguments.variants);
  auto options = Options(arguments);
  if (!options.ok()) return Report(options.status());
  ProgressLine line("analysing");
  options->progress = line.callback();
  const auto report = analyze::Analyze(variants, arguments.output, *options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    const int printed = PrintSummary(arguments.output);
    if (printed == kExitDone) DrawAnalysis(arguments.output);
    return printed;
  }
  PrintTotals("all variants together", report->plans);
  PrintTotals("by method", report->totals);
  std::fprintf(stderr, "%s: %llu layers (%llu of an earlier run), %llu not analysed, %.2f s\n",
               arguments.output.c_str(), static_cast<unsigned long long>(report->analysed),
               static_cast<unsigned long long>(report->resumed),
               static_cast<unsigned long long>(report->not_analysed), line.seconds());
  DrawAnalysis(arguments.output);
  return kExitDone;
}

}  // namespace

void AddAnalyzeCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<AnalyzeArguments>();
  analyze::AnalyzeOptions& options = arguments->options;
  command
      ->add_option("variants", arguments->variants,
                   "Name of a variant, and its model directory or file")
      ->required()
      ->type_name("NAME=PATH");
  command
      ->add_option("-o,--output", arguments->output,
                   "Directory for results; an interrupted analysis in it goes on")
      ->required()
      ->type_name("DIR");
  CLI::Option* methods =
      command->add_option("--methods", arguments->methods,
                          "Methods to compare: huffman, zstd, zipnn, conditional, or all "
                          "(default: huffman,zstd,conditional)");
  TakeWord(methods->delimiter(','), {"huffman", "zstd", "zipnn", "conditional", "all"});
  methods->type_name("LIST");
  command->add_option("--zstd-levels", options.zstd, "Levels of zstd (default: 3)")
      ->delimiter(',')
      ->type_name("LIST");
  CLI::Option* target = command
                            ->add_option("--target", arguments->target,
                                         "Measure conditional entropy of this variant only")
                            ->type_name("NAME");
  CLI::Option* given = command
                           ->add_option("--given", arguments->given,
                                        "Measure it given this variant (default: every pair)")
                           ->type_name("NAME");
  target->needs(given);
  given->needs(target);
  TakeLevel(command->add_option("--level", options.level,
                                "How much time packing may take (default: balanced)"));
  command
      ->add_option("--layers", options.layers,
                   "Analyse only layers of these names; * and ? stand for any characters")
      ->type_name("PATTERN");
  command
      ->add_option(
          "--sample", arguments->sample,
          "Read a share of the rows of each layer, such as 0.1, or so many rows, such as 256")
      ->type_name("SHARE|ROWS");
  AddThreads(command, &options.threads, "Layers to analyse at once");
  TakeSize(
      command->add_option("--memory", options.memory_limit, "Soft memory limit (default: 1GiB)"));
  command->add_flag("--force", options.restart,
                    "Begin anew where the directory has an analysis already");
  AddJson(command, &arguments->json);
  command->footer(
      "Variants may be BF16, FP16, LLM.int8() and GPTQ of 2, 3, 4 or 8 bits.\n"
      "DIR gets summary.json, report.html, analyze.log and layers/*.json.\n"
      "The Python package draws report.html: pip install 'qstore[plots]'.\n"
      "The method zipnn needs a Python library: pip install qstore zipnn.");
  command->callback([arguments, exit_code] { *exit_code = RunAnalyze(*arguments); });
}

}  // namespace qstore::cli
