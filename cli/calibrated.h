// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace qstore::cli {

/// Calibrated targets need the model to run, so the Python package makes them: `qstore quantize`
/// becomes that program, and signals and exit codes are its own.
class CalibratedArguments {
 public:
  /// Adds the options that only these targets have.
  void AddOptions(CLI::App& command);
  /// The targets that `to` names, as make::CalibratedTargets; none when it asks for something else.
  /// Throws CLI::ValidationError for such a `to` that has no meaning.
  std::optional<std::string> Targets(const std::string& to) const;
  /// Whether one of these options was given, and which.
  const CLI::Option* given() const;
  /// Runs that program in place of this process; `shared` are further arguments. Returns an exit
  /// code only when that cannot be done.
  int Run(const std::string& source, const std::string& output, const std::string& targets,
          const std::vector<std::string>& shared) const;

 private:
  std::string bits_;
  std::vector<const CLI::Option*> options_;  ///< Those the package has by the same name.
  const CLI::Option* bits_option_ = nullptr;
};

}  // namespace qstore::cli
