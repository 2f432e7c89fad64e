// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include "cli/commands.h"
#include "cli/verbs.h"

namespace qstore::cli {
namespace {

constexpr Verb kBenches[] = {
    {"load", "Time opening an archive and loading tensors into fresh memory", "", AddBenchLoad},
    {"save", "Time packing to a temporary archive", "", AddBenchSave},
    {"raw", "Time plain files, or files of a general compressor", "", AddBenchRaw},
};

}  // namespace

void AddBenchCommand(CLI::App* command, int* exit_code) {
  command->require_subcommand(1);
  AddVerbs(command, kBenches, exit_code);
}

}  // namespace qstore::cli
