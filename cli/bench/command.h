// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace qstore::cli {

/// Each fills a sub-command of `bench`, as those of commands.h.
void AddBenchLoad(CLI::App* command, int* exit_code);
void AddBenchSave(CLI::App* command, int* exit_code);
void AddBenchRaw(CLI::App* command, int* exit_code);

}  // namespace qstore::cli
