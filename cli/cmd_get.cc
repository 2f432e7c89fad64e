// SPDX-License-Identifier: Apache-2.0
#include "qstore/get.h"

#include <cstdio>
#include <memory>

#include "commands.h"
#include "open_archive.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct GetArguments {
  std::string archive;
  std::string variant;
  std::string cache;
  GetOptions options;
  ReadLimits limits;
  bool only_path = false;
  bool json = false;
};

int RunGet(const GetArguments& arguments) {
  auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  GetOptions options = arguments.options;
  options.cache = arguments.cache;
  ProgressLine line("getting");
  options.progress = line.callback();
  const auto report = Get(*archive, arguments.variant, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("path", report->path.string());
    document.Add("bytes", report->bytes);
    document.Add("was_there", report->was_there);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
    return kExitDone;
  }
  if (!arguments.only_path) {
    std::fprintf(stderr, "%s: %s, %s, %.2f s\n", Printable(arguments.variant).c_str(),
                 HumanBytes(report->bytes).c_str(), report->was_there ? "was there" : "made",
                 line.seconds());
  }
  std::printf("%s\n", report->path.c_str());
  return kExitDone;
}

}  // namespace

void AddGetCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<GetArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command->add_option("variant", arguments->variant, "Variant to restore")
      ->required()
      ->type_name("NAME");
  command->add_option("--file", arguments->options.file, "Restore only the file of this path")
      ->type_name("PATH");
  command->add_flag("--path", arguments->only_path, "Print only the path");
  command
      ->add_option("--cache", arguments->cache, "Directory of the cache (default: $QSTORE_CACHE)")
      ->type_name("DIR");
  TakeSize(command->add_option(
      "--cache-size", arguments->options.cache_size,
      "Most bytes in the cache; the variants used longest ago go (default: half of the disk)"));
  AddThreads(command, &arguments->options.threads);
  arguments->limits.AddOptions(command, "");
  AddJson(command, &arguments->json);
  command->footer(
      "Any program that opens files can use the path:\n"
      "  llama-server -m $(qstore get m.qstore q4 --path)\n"
      "The cache is $QSTORE_CACHE, $XDG_CACHE_HOME/qstore or ~/.cache/qstore.");
  command->callback([=] { *exit_code = RunGet(*arguments); });
}

}  // namespace qstore::cli
