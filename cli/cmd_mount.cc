// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "open_archive.h"
#include "qstore/source.h"
#include "qstore_apps/mount.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct MountArguments {
  std::string archive;
  std::string directory;
  mount::MountOptions options;
  bool json = false;
};

// What has not to be held whole stays within --memory by itself.
OpenOptions OptionsFor(const MountArguments& arguments) {
  OpenOptions options;
  options.max_memory = std::max(arguments.options.memory, kDefaultMaxMemory);
  return options;
}

int RunMount(MountArguments arguments) {
  arguments.options.is_slow = IsUrl(arguments.archive);
  if (!arguments.options.is_slow) {
    // The process that serves leaves the working directory.
    std::error_code error;
    const auto full = std::filesystem::absolute(arguments.archive, error);
    if (!error) arguments.archive = full.string();
  }
  const auto open = [&] { return OpenArchive(arguments.archive, OptionsFor(arguments)); };
  const Status status = mount::Mount(open, arguments.directory, arguments.options);
  if (!status.ok() || !arguments.json) return Report(status);
  JsonWriter document;
  document.BeginObject();
  document.Add("archive", arguments.archive);
  document.Add("directory", arguments.directory);
  document.End();
  PrintJson(document);
  return kExitDone;
}

}  // namespace

void AddMountCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<MountArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command->add_option("directory", arguments->directory, "Empty directory to mount on")
      ->required()
      ->type_name("DIR");
  command->add_flag("-f,--foreground", arguments->options.foreground,
                    "Serve in this process until someone unmounts or interrupts it");
  command->add_flag("--allow-other", arguments->options.allow_other,
                    "Let other users read the files");
  TakeSize(command->add_option("--memory", arguments->options.memory,
                               "Soft memory limit; parents that must be held whole may pass it "
                               "(default: 256MiB)"));
  AddThreads(command, &arguments->options.threads, "Threads that decode ahead of readers");
  command
      ->add_option("--log", arguments->options.log,
                   "Append errors to this file (default: syslog, or standard error with -f)")
      ->type_name("FILE");
  AddJson(command, &arguments->json);
  command->footer(
      "Files appear as DIR/VARIANT/FILE. To unmount: umount DIR, or fusermount3 -u DIR.");
  command->callback([=] { *exit_code = RunMount(*arguments); });
}

}  // namespace qstore::cli
