// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "open_archive.h"
#include "qstore/verify.h"
#include "terminal.h"
#include "values.h"
#include "variant_arguments.h"

namespace qstore::cli {
namespace {

struct VerifyArguments {
  std::string archive;
  VariantArguments variants;
  VerifyOptions options;
  ReadLimits limits;
  bool json = false;
};

int RunVerify(const VerifyArguments& arguments) {
  const auto originals = arguments.variants.List();
  if (!originals.ok()) return Report(originals.status());
  ProgressLine line("verifying");
  VerifyOptions options = arguments.options;
  options.progress = line.callback();
  options.max_bytes = arguments.limits.max_bytes;
  auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  auto report = Verify(*archive, *originals, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("archive", archive->path().string());
    document.Add("files", report->files);
    document.Add("bytes", report->bytes);
    document.Add("compared_bytes", report->compared_bytes);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: intact, %llu files, %s, %s of them compared, %.2f s\n",
                 Printable(archive->path().string()).c_str(),
                 static_cast<unsigned long long>(report->files), HumanBytes(report->bytes).c_str(),
                 HumanBytes(report->compared_bytes).c_str(), line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddVerifyCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<VerifyArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  arguments->variants.AddOptions(
      command, "Variant to compare, and its model directory or file",
      "Compare with every model in this folder, named as by pack --each");
  AddThreads(command, &arguments->options.threads);
  arguments->limits.AddOptions(command, "the files of all variants");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunVerify(*arguments); });
}

}  // namespace qstore::cli
