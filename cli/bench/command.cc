// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include "cli/commands.h"

namespace qstore::cli {

void AddBenchCommand(CLI::App& app, int* exit_code) {
  CLI::App* bench = app.add_subcommand("bench", "Time saving and loading, in this process");
  bench->require_subcommand(1);
  AddBenchLoad(bench, exit_code);
  AddBenchSave(bench, exit_code);
  AddBenchRaw(bench, exit_code);
}

}  // namespace qstore::cli
