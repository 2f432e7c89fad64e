// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "commands.h"
#include "program.h"
#include "terminal.h"

namespace {

int Run(int argc, char** argv) {
  using namespace qstore::cli;
  CLI::App app("One model in several precisions in a single lossless archive.", "qstore");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("qstore ") + QSTORE_VERSION);
  app.footer("Exit codes: 0 done, 1 failed, 2 usage, 3 corrupt or different.");

  int exit_code = kExitDone;
  AddPackCommand(app, &exit_code);
  AddChangeCommands(app, &exit_code);
  AddUnpackCommand(app, &exit_code);
  AddVerifyCommand(app, &exit_code);
  AddInspectCommand(app, &exit_code);
  AddLsCommand(app, &exit_code);
  AddCatCommand(app, &exit_code);
  AddMountCommand(app, &exit_code);
  AddAnalyzeCommand(app, &exit_code);
  AddQuantizeCommand(app, &exit_code);
  AddSynthCommand(app, &exit_code);
  AddBenchCommand(app, &exit_code);
  AddGetCommand(app, &exit_code);
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands({})) verbs.push_back(verb->get_name());
  RunVerbOfProgram(argc, argv, verbs);
  HandleSignals();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace qstore::cli;
  KeepStandardStreams();
  try {
    return Finish(Run(argc, argv));
  } catch (const std::bad_alloc&) {
    std::fputs("qstore: out of memory (limit)\n", stderr);
    return Finish(kExitFailed);
  }
}
