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
/// With --json the error is a document on standard output too.
int Report(const Status& status);
/// The same of a command line that has no meaning; `hint` is a second line for people.
int ReportUsage(const std::string& message, const std::string& hint);

/// Has errors told as JSON from now on.
void TellErrorsAsJson();

/// How much memory a command that reads an archive may take, and how much content it may give.
struct ReadLimits {
  OpenOptions open;
  uint64_t max_bytes = UINT64_MAX;

  /// Adds --max-memory, and --max-bytes where `what` says what it bounds.
  void AddOptions(CLI::App* command, const std::string& what);
};

/// Each fills a sub-command, a row of the table in verbs.cc.
void AddAddCommand(CLI::App* command, int* exit_code);
void AddAnalyzeCommand(CLI::App* command, int* exit_code);
void AddBenchCommand(CLI::App* command, int* exit_code);
void AddCatCommand(CLI::App* command, int* exit_code);
void AddCompactCommand(CLI::App* command, int* exit_code);
void AddCompletionCommand(CLI::App* command, int* exit_code);
void AddDiffCommand(CLI::App* command, int* exit_code);
void AddDropCommand(CLI::App* command, int* exit_code);
void AddGetCommand(CLI::App* command, int* exit_code);
void AddHelpCommand(CLI::App* command, int* exit_code);
void AddInspectCommand(CLI::App* command, int* exit_code);
void AddLsCommand(CLI::App* command, int* exit_code);
void AddMountCommand(CLI::App* command, int* exit_code);
void AddPackCommand(CLI::App* command, int* exit_code);
void AddQuantizeCommand(CLI::App* command, int* exit_code);
void AddSynthCommand(CLI::App* command, int* exit_code);
void AddUnpackCommand(CLI::App* command, int* exit_code);
void AddVerifyCommand(CLI::App* command, int* exit_code);
void AddViewCommand(CLI::App* command, int* exit_code);

}  // namespace qstore::cli
