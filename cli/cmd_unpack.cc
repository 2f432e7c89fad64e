// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "open_archive.h"
#include "qstore/unpack.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

struct UnpackArguments {
  std::string archive;
  std::string variant;
  std::string directory;
  UnpackOptions options;
  ReadLimits limits;
  bool json = false;
};

int RunUnpack(const UnpackArguments& arguments) {
  auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  UnpackOptions options = arguments.options;
  options.max_bytes = arguments.limits.max_bytes;
  ProgressLine line("unpacking");
  options.progress = line.callback();
  auto report = Unpack(*archive, arguments.variant, arguments.directory, options);
  line.Clear();
  if (!report.ok()) return Report(report.status());
  if (arguments.json) {
    JsonWriter document;
    document.BeginObject();
    document.Add("directory", arguments.directory);
    document.Add("files", report->files);
    document.Add("bytes", report->bytes);
    document.Add("seconds", line.seconds());
    document.End();
    PrintJson(document);
  } else {
    std::fprintf(stderr, "%s: %llu files, %s, %.2f s\n", arguments.directory.c_str(),
                 static_cast<unsigned long long>(report->files), HumanBytes(report->bytes).c_str(),
                 line.seconds());
  }
  return kExitDone;
}

}  // namespace

void AddUnpackCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<UnpackArguments>();
  CLI::App* command = app.add_subcommand("unpack", "Restore the files of a variant");
  command->add_option("archive", arguments->archive, "Archive to read, or its URL")->required();
  command->add_option("variant", arguments->variant, "Name of the variant")
      ->required()
      ->type_name("NAME");
  command->add_option("-o,--output", arguments->directory, "Directory to write; new or empty")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--tensors", arguments->options.tensors,
                   "Only tensors of matching names, to a new DIR/model.safetensors")
      ->type_name("GLOB");
  command->add_option("--file", arguments->options.file, "Only the file of this path")
      ->type_name("PATH");
  command->add_option("--threads", arguments->options.threads, "0: all processors (default)")
      ->type_name("N");
  command->add_flag("--force", arguments->options.overwrite,
                    "Replace files in a directory that is not empty");
  arguments->limits.AddOptions(command, "the files written");
  command->add_flag("--json", arguments->json, "Print the result as JSON");
  command->callback([=] { *exit_code = RunUnpack(*arguments); });
}

}  // namespace qstore::cli
