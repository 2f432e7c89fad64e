// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace qstore::cli {

/// Each adds one sub-command to `bench`, as those of commands.h.
void AddBenchLoad(CLI::App* bench, int* exit_code);
void AddBenchSave(CLI::App* bench, int* exit_code);
void AddBenchRaw(CLI::App* bench, int* exit_code);

}  // namespace qstore::cli
