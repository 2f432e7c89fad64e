// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "qstore/archive.h"
#include "qstore/status.h"

namespace qstore::cli {

/// Exit codes of every command. Scripts rely on the values.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;   ///< The input or the system did not allow it.
inline constexpr int kExitUsage = 2;    ///< The command line has no meaning.
inline constexpr int kExitCorrupt = 3;  ///< The data is damaged, or differs from what it should be.

/// Prints the error on standard error, unless `status` is a success, and returns the exit code.
int Report(const Status& status);

/// How much memory a command that reads an archive may take, and how much content it may give.
struct ReadLimits {
  OpenOptions open;
  uint64_t max_bytes = UINT64_MAX;

  /// Adds --max-memory, and --max-bytes where `what` says what it bounds.
  void AddOptions(CLI::App* command, const std::string& what);
};

/// Each adds a sub-command, or several. When the user chose it, it has run and set `*exit_code`
/// once CLI::App::parse returns.
void AddAnalyzeCommand(CLI::App& app, int* exit_code);
void AddBenchCommand(CLI::App& app, int* exit_code);
void AddChangeCommands(CLI::App& app, int* exit_code);  ///< add, drop, compact
void AddCatCommand(CLI::App& app, int* exit_code);
void AddGetCommand(CLI::App& app, int* exit_code);
void AddInspectCommand(CLI::App& app, int* exit_code);
void AddLsCommand(CLI::App& app, int* exit_code);
void AddMountCommand(CLI::App& app, int* exit_code);
void AddPackCommand(CLI::App& app, int* exit_code);
void AddQuantizeCommand(CLI::App& app, int* exit_code);
void AddSynthCommand(CLI::App& app, int* exit_code);
void AddUnpackCommand(CLI::App& app, int* exit_code);
void AddVerifyCommand(CLI::App& app, int* exit_code);

}  // namespace qstore::cli
