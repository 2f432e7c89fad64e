// SPDX-License-Identifier: Apache-2.0
// Commands that change an archive: add, drop, compact.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "plan_arguments.h"
#include "qstore/change.h"
#include "terminal.h"
#include "values.h"
#include "variant_arguments.h"

namespace qstore::cli {
namespace {

struct AddArguments {
  std::string archive;
  VariantArguments variants;
  PlanArguments plan;
  bool json = false;
};

int RunAdd(const AddArguments& arguments) {
  AddOptions options;
  arguments.plan.ApplyTo(&options);
  const auto variants = arguments.variants.List();
  if (!variants.ok()) return Report(variants.status());
  ProgressLine line("adding");
  options.progress = line.callback();
  const auto report = Add(arguments.archive, *variants, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("archive", arguments.archive);
    document.Add("source_bytes", report->source_bytes);
    document.Add("added_bytes", report->added_bytes);
    document.Add("read_bytes", report->read_bytes);
    document.Add("stored_bytes", report->stored_bytes);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %s of files added in %s, now %s, %.2f s\n", arguments.archive.c_str(),
                 HumanBytes(report->source_bytes).c_str(), HumanBytes(report->added_bytes).c_str(),
                 HumanBytes(report->stored_bytes).c_str(), line.seconds());
  }
  return kExitDone;
}

struct DropArguments {
  std::string archive;
  std::vector<std::string> variants;
  bool json = false;
};

int RunDrop(const DropArguments& arguments) {
  const auto report = Drop(arguments.archive, arguments.variants);
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("archive", arguments.archive);
    document.Add("stored_bytes", report->stored_bytes);
    document.Add("dead_bytes", report->dead_bytes);
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %s, of which 'qstore compact' would take away %s\n",
                 arguments.archive.c_str(), HumanBytes(report->stored_bytes).c_str(),
                 HumanBytes(report->dead_bytes).c_str());
  }
  return kExitDone;
}

struct CompactArguments {
  std::string archive;
  std::string output;
  CompactOptions options;
  bool json = false;
};

int RunCompact(const CompactArguments& arguments) {
  CompactOptions options = arguments.options;
  options.output = arguments.output;
  ProgressLine line("compacting");
  options.progress = line.callback();
  const auto report = Compact(arguments.archive, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  const std::string& written = arguments.output.empty() ? arguments.archive : arguments.output;
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("archive", written);
    document.Add("before_bytes", report->before_bytes);
    document.Add("stored_bytes", report->stored_bytes);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %s, before %s, %.2f s\n", written.c_str(),
                 HumanBytes(report->stored_bytes).c_str(), HumanBytes(report->before_bytes).c_str(),
                 line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddAddCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<AddArguments>();
  command->add_option("archive", arguments->archive, "Archive to change")->required();
  arguments->variants.AddOptions(command, "Name of a variant, and its model directory or file",
                                 "Add every model in this folder, named by its file or subfolder");
  arguments->plan.AddOptions(command, "Code the added variant CHILD relative to PARENT only",
                             "Store this added variant without parents, so that it loads alone");
  AddJson(command, &arguments->json);
  command->callback([=] {
    if (arguments->variants.empty()) throw CLI::RequiredError("variants");
    *exit_code = RunAdd(*arguments);
  });
}

void AddDropCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<DropArguments>();
  command->add_option("archive", arguments->archive, "Archive to change")->required();
  command->add_option("variants", arguments->variants, "Variant to drop")
      ->required()
      ->type_name("NAME");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunDrop(*arguments); });
}

void AddCompactCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<CompactArguments>();
  command->add_option("archive", arguments->archive, "Archive to compact")->required();
  command
      ->add_option("-o,--output", arguments->output,
                   "Write the result here and leave the archive as it is")
      ->type_name("OUT.qstore");
  command->add_flag("--force", arguments->options.overwrite, "Replace an existing output");
  AddJson(command, &arguments->json);
  command->callback([=] {
    RefuseStandardOutput("--output", arguments->output);
    *exit_code = RunCompact(*arguments);
  });
}

}  // namespace qstore::cli
