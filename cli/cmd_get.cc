// SPDX-License-Identifier: Apache-2.0
#include "qstore/get.h"

#include <cstdio>
#include <memory>

#include "commands.h"
#include "open_archive.h"
#include "terminal.h"

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

void AddGetCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<GetArguments>();
  CLI::App* command = app.add_subcommand(
      "get", "Restore a variant once in a cache, and print where its file or directory is");
  command->add_option("archive", arguments->archive, "Archive to read, or its URL")->required();
  command->add_option("variant", arguments->variant, "Name of the variant")
      ->required()
      ->type_name("NAME");
  command->add_option("--file", arguments->options.file, "Only the file of this path")
      ->type_name("PATH");
  command->add_flag("--path", arguments->only_path, "Print the path and nothing else");
  command->add_option("--cache", arguments->cache, "Directory of the cache ($QSTORE_CACHE)")
      ->type_name("DIR");
  command
      ->add_option("--cache-size", arguments->options.cache_size,
                   "What it may hold; what was asked for longest ago goes (half of the disk)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  command->add_option("--threads", arguments->options.threads, "0: all processors (default)")
      ->type_name("N");
  arguments->limits.AddOptions(command, "");
  command->add_flag("--json", arguments->json, "Print the result as JSON");
  command->footer(
      "Everything that opens a file works with it:\n"
      "  llama-server -m $(qstore get m.qstore q4 --path)\n"
      "The cache is $QSTORE_CACHE, $XDG_CACHE_HOME/qstore or ~/.cache/qstore.");
  command->callback([=] { *exit_code = RunGet(*arguments); });
}

}  // namespace qstore::cli
