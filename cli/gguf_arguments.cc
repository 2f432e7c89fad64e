// SPDX-License-Identifier: Apache-2.0
#include "gguf_arguments.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "commands.h"
#include "qstore_apps/targets.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

using make::GgufMadeTensor;
using make::GgufReport;

constexpr char kGgufGroup[] = "GGUF files";
constexpr std::string_view kGgufExtension = ".gguf";

std::string GgufNames() {
  std::string names;
  for (const std::string_view name : make::GgufTargetNames()) {
    names.append(names.empty() ? "" : ", ").append(name);
  }
  return names;
}

bool IsChanged(const GgufMadeTensor& tensor) { return tensor.from != tensor.to; }

size_t CountChanged(const GgufReport& report) {
  return static_cast<size_t>(
      std::count_if(report.tensors.begin(), report.tensors.end(), IsChanged));
}

void PrintReport(const GgufReport& report, const GgufArguments::Shared& shared) {
  if (shared.list || shared.dry_run) {
    for (const GgufMadeTensor& tensor : report.tensors) {
      const std::string what(IsChanged(tensor) ? DTypeName(tensor.to) : "keep");
      std::printf("%s %s\n", what.c_str(), Printable(tensor.name).c_str());
    }
  }
  const size_t changed = CountChanged(report);
  std::fprintf(stderr, "%s: %zu tensors to %s, %zu kept, %s to %s\n",
               shared.dry_run ? "dry run" : Printable(report.file.string()).c_str(), changed,
               report.target.c_str(), report.tensors.size() - changed,
               HumanBytes(report.source_bytes).c_str(), HumanBytes(report.output_bytes).c_str());
}

void AddReport(const GgufReport& report, const GgufArguments::Shared& shared,
               JsonWriter* document) {
  const size_t changed = CountChanged(report);
  document->Add("target", report.target);
  document->Add("file", report.file.string());
  document->Add("dry_run", shared.dry_run);
  document->Add("quantized", changed);
  document->Add("kept", report.tensors.size() - changed);
  document->Add("source_bytes", report.source_bytes);
  document->Add("output_bytes", report.output_bytes);
  if (!shared.list && !shared.dry_run) return;
  document->BeginArray("tensors");
  for (const GgufMadeTensor& tensor : report.tensors) {
    document->BeginObject();
    document->Add("name", tensor.name);
    document->Add("from", DTypeName(tensor.from));
    document->Add("to", DTypeName(tensor.to));
    document->End();
  }
  document->End();
}

// One precision is the document itself; those of a list are a list in it.
void PrintReports(const std::vector<GgufReport>& reports, const GgufArguments::Shared& shared,
                  double seconds) {
  JsonWriter document;
  document.BeginObject();
  if (reports.size() == 1) {
    AddReport(reports.front(), shared, &document);
  } else {
    document.BeginArray("targets");
    for (const GgufReport& report : reports) {
      document.BeginObject();
      AddReport(report, shared, &document);
      document.End();
    }
    document.End();
  }
  document.Add("seconds", seconds);
  document.End();
  PrintJson(document);
}

std::optional<DType> TypeOf(const char* option, const std::string& name) {
  if (name.empty()) return std::nullopt;
  const auto type = make::GgufTypeOf(name);
  if (!type) throw CLI::ValidationError(option, "'" + name + "' is no type that is made here");
  return type;
}

}  // namespace

bool GgufArguments::IsGguf(const std::string& source) {
  return CLI::detail::to_lower(source).ends_with(kGgufExtension);
}

void GgufArguments::AddOptions(CLI::App& command) {
  const auto add = [&](CLI::Option* option) { options_.push_back(option->group(kGgufGroup)); };
  add(command.add_option("--imatrix", importance_, "Importance matrix, as llama-imatrix writes it")
          ->option_text("FILE"));
  add(command.add_flag("--pure", pure_, "Use one type for all matrices, no mixture"));
  add(command.add_flag("--allow-requantize", allow_requantize_,
                       "Also quantize tensors that are quantized already"));
  add(command
          .add_option("--output-tensor-type", output_type_, "Type of output.weight, such as q8_0")
          ->option_text("TYPE"));
  add(command.add_option("--token-embedding-type", embedding_type_, "Type of token_embd.weight")
          ->option_text("TYPE"));
  add(command.add_flag("--leave-output-tensor", keep_output_, "Keep output.weight as it is"));
}

const CLI::Option* GgufArguments::given() const {
  for (const CLI::Option* option : options_) {
    if (option->count() > 0) return option;
  }
  return nullptr;
}

make::GgufOptions GgufArguments::Options(const Shared& shared) const {
  make::GgufOptions options;
  options.pure = pure_;
  options.keep_output = keep_output_;
  options.output_type = TypeOf("--output-tensor-type", output_type_);
  options.embedding_type = TypeOf("--token-embedding-type", embedding_type_);
  options.allow_requantize = allow_requantize_;
  options.importance = importance_;
  options.dry_run = shared.dry_run;
  options.overwrite = shared.overwrite;
  options.sync = shared.sync;
  options.threads = shared.threads;
  return options;
}

int GgufArguments::Run(const Shared& shared) const {
  const std::vector<std::string> targets = make::SplitAtCommas(shared.to);
  for (const std::string& name : targets) {
    if (make::IsGgufTarget(name)) continue;
    throw CLI::ValidationError("--to",
                               "'" + name + "' is made of no GGUF file, but " + GgufNames());
  }
  make::GgufOptions options = Options(shared);
  ProgressLine line("quantizing");
  options.progress = line.callback();
  const auto reports = make::QuantizeGguf(shared.source, shared.output, targets, options);
  line.Clear();
  if (!reports.ok()) return Report(reports.status());
  if (shared.json) {
    PrintReports(*reports, shared, line.seconds());
    return kExitDone;
  }
  for (const GgufReport& report : *reports) PrintReport(report, shared);
  if (!shared.dry_run) std::fprintf(stderr, "%.2f s\n", line.seconds());
  return kExitDone;
}

}  // namespace qstore::cli
