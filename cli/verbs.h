// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qstore::cli {

/// A sub-command, as help, completion and man pages show it. A new verb is a new row of the table.
struct Verb {
  const char* name;
  const char* summary;  ///< One sentence without its full stop.
  const char* group;    ///< The heading that main's help shows it under; rows of a group adjoin.
  /// Adds arguments, options and what is run. Once CLI::App::parse returns, the verb that the user
  /// chose has run and set `*exit_code`.
  void (*add)(CLI::App* command, int* exit_code);
};

std::span<const Verb> Verbs();

/// The command with all its verbs. `*exit_code` outlives it.
void AddVerbs(CLI::App* app, int* exit_code);
/// The same for a sub-command that has verbs of its own, such as `bench`.
void AddVerbs(CLI::App* app, std::span<const Verb> verbs, int* exit_code);

/// The names of all sub-commands of `app`, in order.
std::vector<std::string> NamesOfVerbs(const CLI::App& app);

/// The sub-command of this name, or null.
const CLI::App* FindVerb(const CLI::App& app, const std::string& name);

/// An app that knows the whole command but runs nothing: for help, completion and man pages.
/// REQUIRES: `exit_code` outlives it.
std::unique_ptr<CLI::App> MakeApp(int* exit_code);

}  // namespace qstore::cli
