// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace qstore::cli {

/// What the scripts of CompletionScript name in place of a shell to ask for words.
inline constexpr char kCompletedWords[] = "words";

/// The script that has a shell (bash, zsh or fish) complete the words of this command.
std::string CompletionScript(const std::string& shell);

/// The words that the last one of `words` may become: verbs, options, values of options, and names
/// of what the archive on the line holds. None where a path is expected. `words` are those behind
/// the command's name, as the shell splits them.
std::vector<std::string> Complete(const CLI::App& app, std::vector<std::string> words);

}  // namespace qstore::cli
