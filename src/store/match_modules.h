// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"
#include "store/module_names.h"

namespace qstore::store {

/// How a target fits a module of another variant.
enum class Match {
  kNoEdge,  ///< By shapes and types no scheme explains one by the other.
  kDiffers,
  kFits,
};

/// Finds the modules of one variant in another that has them under other names: by trying, first
/// those whose names end alike, then those next to the last one found, since models that are
/// renamed keep their order. It gives up after 64 trials in a row that found nothing, and has few
/// more than targets in all.
class ModuleMatcher {
 public:
  /// Whether the target, by its position, fits the module of the other variant.
  using Try = std::function<Result<Match>(size_t target, std::string_view other)>;

  /// `targets` are modules of the own variant, `others` those of the other one, both in the order
  /// of their files.
  ModuleMatcher(std::vector<std::string> targets, std::vector<std::string> others);

  /// Adds what is found to `names`, own to other. Errors: those of `fits`.
  Status Run(const Try& fits, ModuleNames* names);

 private:
  std::vector<size_t> CandidatesFor(size_t target) const;
  size_t BestByName(std::string_view module) const;

  std::vector<std::string> targets_;
  std::vector<std::string> others_;
  std::vector<bool> is_taken_;  // By module of others_.
  size_t next_ = 0;             // In others_: behind the last one found.
};

}  // namespace qstore::store
