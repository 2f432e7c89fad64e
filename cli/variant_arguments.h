// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "qstore/pack.h"
#include "qstore/status.h"

namespace qstore::cli {

/// Variants as a command is given them: NAME=PATH arguments, and folders of models.
struct VariantArguments {
  std::vector<std::string> named;
  std::vector<std::string> folders;

  /// Adds the arguments and the option --each; the texts say what becomes of them.
  void AddOptions(CLI::App* command, const std::string& what, const std::string& what_of_each);
  bool empty() const { return named.empty() && folders.empty(); }
  /// Those named first. Throws CLI::ValidationError. Errors: those of ListVariants.
  Result<std::vector<VariantSource>> List() const;
};

}  // namespace qstore::cli
