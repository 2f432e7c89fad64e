// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "qstore/level.h"
#include "qstore/pack.h"

namespace qstore::cli {

/// How variants are planned and coded, as `pack` and `add` are told it.
struct PlanArguments {
  Level level = Level::kBalanced;
  std::vector<std::string> parents;
  std::vector<std::string> direct;
  unsigned threads = 0;
  uint64_t memory = PackOptions().memory_limit;

  /// Adds --level, --parent, --direct, --threads and --memory.
  void AddOptions(CLI::App* command, const std::string& what_of_parent,
                  const std::string& what_of_direct);
  /// Sets what PackOptions and AddOptions have of them.
  template <class Options>
  void ApplyTo(Options* options) const {
    options->level = level;
    options->parents = Choices();
    options->direct = direct;
    options->threads = threads;
    options->memory_limit = memory;
  }

 private:
  std::vector<ParentChoice> Choices() const;
};

}  // namespace qstore::cli
