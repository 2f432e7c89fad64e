// SPDX-License-Identifier: Apache-2.0
#include "store/match_modules.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace qstore::store {
namespace {

// Modules that are looked at for one target.
constexpr size_t kMostCandidates = 256;
// Trials in vain: one after the other, and for all targets, with so many more for each.
constexpr size_t kInVain = 64;
constexpr size_t kTrials = 64;
constexpr size_t kTrialsEach = 2;

// Components that names have in common at their ends.
size_t CommonTail(std::string_view a, std::string_view b) {
  size_t count = 0;
  while (!a.empty() && !b.empty()) {
    const size_t in_a = a.rfind('.');
    const size_t in_b = b.rfind('.');
    const auto last = [](std::string_view name, size_t dot) {
      return dot == std::string_view::npos ? name : name.substr(dot + 1);
    };
    if (last(a, in_a) != last(b, in_b)) break;
    ++count;
    a = in_a == std::string_view::npos ? std::string_view() : a.substr(0, in_a);
    b = in_b == std::string_view::npos ? std::string_view() : b.substr(0, in_b);
  }
  return count;
}

}  // namespace

ModuleMatcher::ModuleMatcher(std::vector<std::string> targets, std::vector<std::string> others)
    : targets_(std::move(targets)), others_(std::move(others)), is_taken_(others_.size()) {}

// Of those near in the order, the first with most components in common; others_.size() where none
// has any.
size_t ModuleMatcher::BestByName(std::string_view module) const {
  size_t best = others_.size();
  size_t most = 0;
  const size_t count = std::min(kMostCandidates, others_.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t other = (next_ + i) % others_.size();
    if (is_taken_[other]) continue;
    const size_t common = CommonTail(module, others_[other]);
    if (common > most) {
      most = common;
      best = other;
    }
  }
  return best;
}

std::vector<size_t> ModuleMatcher::CandidatesFor(size_t target) const {
  std::vector<size_t> candidates;
  const size_t best = BestByName(targets_[target]);
  if (best < others_.size()) candidates.push_back(best);
  const size_t count = std::min(kMostCandidates, others_.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t other = (next_ + i) % others_.size();
    if (!is_taken_[other] && other != best) candidates.push_back(other);
  }
  return candidates;
}

Status ModuleMatcher::Run(const Try& fits, ModuleNames* names) {
  size_t trials = kTrials + kTrialsEach * targets_.size();
  size_t in_vain = 0;
  for (size_t target = 0; target < targets_.size(); ++target) {
    if (names->Has(targets_[target])) continue;
    for (const size_t other : CandidatesFor(target)) {
      QSTORE_ASSIGN(const Match match, fits(target, others_[other]));
      if (match == Match::kFits) {
        names->Add(targets_[target], others_[other]);
        is_taken_[other] = true;
        next_ = other + 1;
        in_vain = 0;
        break;
      }
      if (match == Match::kDiffers && (++in_vain == kInVain || --trials == 0)) return {};
    }
  }
  return {};
}

}  // namespace qstore::store
