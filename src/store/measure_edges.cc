// SPDX-License-Identifier: Apache-2.0
#include "store/measure_edges.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "store/sample_cache.h"

namespace qstore::store {
namespace {

// Of objects that are alike the first few are measured, and some of the others: all of them, where
// they are no more than that.
constexpr uint32_t kFirst = 8;
constexpr uint32_t kOneIn = 16;

// Of what an object takes alone: how far those that are measured may be apart.
constexpr double kNarrowAlone = 0.05;
constexpr double kNarrowGiven = 0.02;

PartSource SourceOf(const PackPlan& plan, uint32_t object, MeasureWorker* worker) {
  const PartPlace& place = plan.objects[object].place;
  return {plan.file(place), plan.part(place), &worker->windows};
}

Result<plan::Measured> MeasureSamples(const PackPlan& plan, Level level, uint32_t id,
                                      const std::vector<Proposal>& proposals,
                                      MeasureWorker* worker) {
  size_t count = 0;
  for (const Proposal& proposal : proposals) count += proposal.parents.size();
  std::vector<PartSource> contents;
  contents.reserve(count);
  std::vector<plan::Candidate> candidates;
  candidates.reserve(proposals.size());
  for (const Proposal& proposal : proposals) {
    plan::Candidate candidate{proposal.bound.get(), {}};
    for (const uint32_t parent : proposal.parents) {
      candidate.parents.push_back(&contents.emplace_back(SourceOf(plan, parent, worker)));
    }
    candidates.push_back(std::move(candidate));
  }
  return plan::Measure(plan.objects[id].spec, SourceOf(plan, id, worker), candidates, level,
                       &worker->coder);
}

void AddSpec(const scheme::ObjectSpec& spec, SampleKey* key) {
  key->AddNumber(spec.byte_size);
  key->AddNumber(spec.row_elems);
  key->AddNumber(spec.chunk_elems);
  key->AddNumber(static_cast<uint64_t>(spec.dtype));
}

}  // namespace

Result<plan::Measured> MeasureProposals(const PackPlan& plan, const PlanOptions& options,
                                        uint32_t id, const std::vector<Proposal>& proposals,
                                        MeasureWorker* worker) {
  if (options.samples == nullptr) {
    return MeasureSamples(plan, options.level, id, proposals, worker);
  }
  SampleKey key(&plan);
  key.AddObject(id);
  for (const Proposal& proposal : proposals) {
    key.AddEdge(proposal.scheme_id, proposal.params, proposal.parents, proposal.chunk_elems);
  }
  if (auto known = options.samples->edges.Find(key)) return std::move(*known);
  QSTORE_ASSIGN(plan::Measured measured,
                MeasureSamples(plan, options.level, id, proposals, worker));
  options.samples->edges.Put(key, measured);
  return measured;
}

AlikeEdges::AlikeEdges(const PackPlan* plan, const Proposals& proposals)
    : plan_(*plan), is_measured_(proposals.size()) {
  std::unordered_map<std::string, uint32_t> counts;
  for (uint32_t id = 0; id < proposals.size(); ++id) {
    if (proposals[id].empty()) continue;
    const uint32_t before = counts[KeyOf(id, proposals[id])]++;
    is_measured_[id] = before < kFirst || before % kOneIn == 0;
  }
}

std::string AlikeEdges::KeyOf(uint32_t id, const std::vector<Proposal>& proposals) const {
  SampleKey key(&plan_);
  key.AddNumber(plan_.objects[id].place.variant);
  AddSpec(plan_.objects[id].spec, &key);
  for (const Proposal& proposal : proposals) {
    key.AddEdge(proposal.scheme_id, proposal.params, {}, proposal.chunk_elems);
    for (const uint32_t parent : proposal.parents) {
      key.AddNumber(plan_.objects[parent].place.variant);
      AddSpec(plan_.objects[parent].spec, &key);
    }
  }
  return key.text();
}

void AlikeEdges::Add(uint32_t id, const std::vector<Proposal>& proposals,
                     const plan::Measured& measured) {
  const std::string key = KeyOf(id, proposals);
  const std::lock_guard lock(mutex_);
  Range& range = ranges_[key];
  if (range.count++ == 0) {
    range.least = measured;
    range.most = measured;
    return;
  }
  range.least.alone = std::min(range.least.alone, measured.alone);
  range.most.alone = std::max(range.most.alone, measured.alone);
  for (size_t i = 0; i < measured.given.size(); ++i) {
    range.least.given[i] = std::min(range.least.given[i], measured.given[i]);
    range.most.given[i] = std::max(range.most.given[i], measured.given[i]);
  }
}

bool AlikeEdges::IsNarrow(const Range& range) {
  const double alone = range.most.alone;
  if (range.count < kFirst || alone - range.least.alone > kNarrowAlone * alone) return false;
  for (size_t i = 0; i < range.least.given.size(); ++i) {
    if (range.most.given[i] - range.least.given[i] > kNarrowGiven * alone) return false;
    // All of them say the same of the edge.
    const bool all_gain = range.most.given[i] < kWorthwhile * range.least.alone;
    const bool none_gains = range.least.given[i] >= kWorthwhile * range.most.alone;
    if (!all_gain && !none_gains) return false;
  }
  return true;
}

std::optional<plan::Measured> AlikeEdges::Find(uint32_t id,
                                               const std::vector<Proposal>& proposals) const {
  const auto found = ranges_.find(KeyOf(id, proposals));
  if (found == ranges_.end() || !IsNarrow(found->second)) return std::nullopt;
  const Range& range = found->second;
  plan::Measured middle = range.least;
  middle.alone = (range.least.alone + range.most.alone) / 2;
  for (size_t i = 0; i < middle.given.size(); ++i) {
    middle.given[i] = (range.least.given[i] + range.most.given[i]) / 2;
  }
  return middle;
}

}  // namespace qstore::store
