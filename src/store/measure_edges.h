// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "plan/measure.h"
#include "scheme/chunk_coder.h"
#include "store/find_edges.h"
#include "store/pack_plan.h"
#include "store/read_windows.h"

namespace qstore::store {

/// An edge must gain this share of the bytes, or it is not worth reading more for.
inline constexpr double kWorthwhile = 0.98;

/// What a thread that measures needs.
struct MeasureWorker {
  scheme::ChunkCoder coder;
  ReadWindows windows;
};

/// Codes samples of the object alone and under every proposal, which has its bound; takes what is
/// known from PlanOptions::samples. Errors are read errors.
Result<plan::Measured> MeasureProposals(const PackPlan& plan, const PlanOptions& options,
                                        uint32_t id, const std::vector<Proposal>& proposals,
                                        MeasureWorker* worker);

/// Layers of a model are much alike. Where some objects of one shape, with the same edges into
/// them, take about as much as one another, the rest of them takes that too, and is not measured.
/// Which ones are measured does not hang on threads, so that archives do not either.
class AlikeEdges {
 public:
  /// Both outlive this, and `proposals` are those before any were measured.
  AlikeEdges(const PackPlan* plan, const Proposals& proposals);

  /// Whether the object is measured in any case.
  bool IsMeasured(uint32_t id) const { return is_measured_[id]; }
  /// Thread-safe, as is Find; all calls of this come before any of that.
  void Add(uint32_t id, const std::vector<Proposal>& proposals, const plan::Measured& measured);
  /// Nothing where objects like this one differ.
  std::optional<plan::Measured> Find(uint32_t id, const std::vector<Proposal>& proposals) const;

 private:
  struct Range {
    plan::Measured least;
    plan::Measured most;
    uint32_t count = 0;
  };

  std::string KeyOf(uint32_t id, const std::vector<Proposal>& proposals) const;
  static bool IsNarrow(const Range& range);

  const PackPlan& plan_;
  std::vector<bool> is_measured_;  // By object.
  std::mutex mutex_;
  std::unordered_map<std::string, Range> ranges_;
};

}  // namespace qstore::store
