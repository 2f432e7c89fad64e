// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "open_archive.h"
#include "qstore/source.h"
#include "qstore_apps/mount.h"

namespace qstore::cli {
namespace {

struct MountArguments {
  std::string archive;
  std::string directory;
  mount::MountOptions options;
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
  return Report(mount::Mount(open, arguments.directory, arguments.options));
}

}  // namespace

void AddMountCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<MountArguments>();
  CLI::App* command =
      app.add_subcommand("mount", "Show the files of all variants as files, DIR/VARIANT/FILE");
  command->add_option("archive", arguments->archive, "Archive to read")->required();
  command->add_option("directory", arguments->directory, "Directory to mount on; empty")
      ->required()
      ->type_name("DIR");
  command->add_flag("-f,--foreground", arguments->options.foreground,
                    "Serve in this process until it is unmounted or interrupted");
  command->add_flag("--allow-other", arguments->options.allow_other,
                    "Let other users read the files");
  command
      ->add_option("--memory", arguments->options.memory,
                   "Aim for memory in use (256MiB), but for what must be held whole")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  command
      ->add_option("--threads", arguments->options.threads,
                   "That decode ahead of readers; 0: all processors (default)")
      ->type_name("N");
  command
      ->add_option("--log", arguments->options.log,
                   "Append what goes wrong to this file (syslog, or with -f standard error)")
      ->type_name("FILE");
  command->footer("Unmount with: umount DIR, or fusermount3 -u DIR.");
  command->callback([=] { *exit_code = RunMount(*arguments); });
}

}  // namespace qstore::cli
