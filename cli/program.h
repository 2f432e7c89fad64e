// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace qstore::cli {

/// Where a program of the Python package is, such as "qstore-prepare": beside this command, or on
/// PATH. None when it is absent.
std::optional<std::string> FindProgram(const std::string& name);

/// Runs it in place of this process: signals and exit codes are its own. Returns an exit code only
/// when that cannot be done, after one line that says what to install.
int RunProgram(const std::string& name, std::vector<std::string> arguments,
               const std::string& install);

/// Runs it beside this process and waits for its end. Returns its exit code; none where it cannot
/// be run.
std::optional<int> RunProgramBeside(const std::string& name, std::vector<std::string> arguments);

/// Runs the program qstore-VERB when the first argument is a verb that only such a program has.
/// Otherwise it returns.
void RunVerbOfProgram(int argc, char** argv, const std::vector<std::string>& verbs);

}  // namespace qstore::cli
