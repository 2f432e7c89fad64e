// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>

#include "commands.h"
#include "open_archive.h"
#include "qstore/unpack.h"
#include "terminal.h"
#include "values.h"

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
  std::string variant = arguments.variant;
  if (variant.empty()) {
    if (archive->variant_count() > 1) {
      return Report(InvalidArgument(archive->path().string() + ": name a variant; there are: " +
                                    Listed(NamesOfVariants(*archive))));
    }
    variant = archive->variant(0).name;
  }
  UnpackOptions options = arguments.options;
  options.max_bytes = arguments.limits.max_bytes;
  ProgressLine line("unpacking");
  options.progress = line.callback();
  auto report = Unpack(*archive, variant, arguments.directory, options);
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

void AddUnpackCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<UnpackArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command->add_option("variant", arguments->variant,
                      "Variant to restore; an archive of one variant needs none");
  command->add_option("-o,--output", arguments->directory, "Directory to write, new or empty")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--tensors", arguments->options.tensors,
                   "Write only tensors of matching names, to a new DIR/model.safetensors")
      ->type_name("GLOB");
  command->add_option("--file", arguments->options.file, "Restore only the file of this path")
      ->type_name("PATH");
  AddThreads(command, &arguments->options.threads);
  command->add_flag("--force", arguments->options.overwrite,
                    "Replace files in a directory that is not empty");
  arguments->limits.AddOptions(command, "the files written");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunUnpack(*arguments); });
}

}  // namespace qstore::cli
