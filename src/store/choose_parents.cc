// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "plan/arrangement.h"
#include "scheme/registry.h"
#include "store/ancestor_limits.h"
#include "store/find_edges.h"
#include "store/measure_edges.h"
#include "store/pack_plan.h"

namespace qstore::store {
namespace {

// What is left of a tensor that its parents explain, as a share: nothing else is tried then.
constexpr double kWellExplained = 0.3;
constexpr size_t kMostFallbacks = 8;

class ParentChooser {
 public:
  ParentChooser(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), edges_(plan, options.level), workers_(options.threads) {}

  Status Run() {
    // What has no edges into it is not measured: it only counts for loads of its children.
    for (uint32_t id = 0; id < plan_.objects.size(); ++id) {
      const PlannedObject& object = plan_.objects[id];
      const uint64_t bytes = plan_.is_stored(id) ? object.stored_load : object.spec.byte_size;
      alone_.push_back(static_cast<double>(bytes));
    }
    Proposals proposals(plan_.objects.size());
    QSTORE_TRY(ForObjects([&](uint32_t id, Worker*) -> Status {
      if (edges_.MayHaveParents(id)) proposals[id] = edges_.Propose(id);
      return {};
    }));
    const auto share_left = [this](uint32_t id, const std::vector<Proposal>& of_child) {
      return ShareLeft(id, of_child);
    };
    QSTORE_TRY(edges_.MatchModules(share_left, options_.poll, &proposals));
    alike_.emplace(&plan_, proposals);
    for (const bool some : {true, false}) {
      QSTORE_TRY(ForObjects([&](uint32_t id, Worker* worker) -> Status {
        if (alike_->IsMeasured(id) != some) return {};
        return MeasureEdges(id, worker, &proposals[id]);
      }));
    }
    Adopt(&proposals);
    AncestorLimits limits(&plan_);
    for (uint32_t id = 0; id < plan_.objects.size(); ++id) limits.Keep(id);
    for (const PlannedObject& object : plan_.objects) {
      for (const uint32_t parent : object.parents) plan_.objects[parent].is_parent = true;
    }
    return {};
  }

 private:
  using Worker = MeasureWorker;

  // Objects that one thread takes at a time, as where they end: of tiny ones many.
  std::vector<uint32_t> Runs() const {
    constexpr uint32_t kMost = 64;
    constexpr uint64_t kRunBytes = uint64_t{256} << 10;
    std::vector<uint32_t> ends;
    uint32_t begin = 0;
    uint64_t bytes = 0;
    for (uint32_t id = 0; id < plan_.objects.size(); ++id) {
      bytes += plan_.objects[id].spec.byte_size;
      if (bytes < kRunBytes && id + 1 - begin < kMost) continue;
      ends.push_back(begin = id + 1);
      bytes = 0;
    }
    if (begin < plan_.objects.size()) ends.push_back(static_cast<uint32_t>(plan_.objects.size()));
    return ends;
  }

  template <class Work>
  Status ForObjects(const Work& work) {
    const std::vector<uint32_t> ends = Runs();
    const auto run = [&](const base::PipelineItem& item) -> Status {
      for (uint32_t id = item.index == 0 ? 0 : ends[item.index - 1]; id < ends[item.index]; ++id) {
        QSTORE_TRY(work(id, &workers_[item.worker])
                       .WithContext(plan_.file(plan_.objects[id].place).source.string()));
      }
      return {};
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    return base::RunPipeline(ends.size(), {options_.threads, size_t{4} * options_.threads}, run,
                             retire);
  }

  // With the best of those parents.
  Result<double> ShareLeft(uint32_t id, const std::vector<Proposal>& proposals) {
    const auto measured = MeasureProposals(plan_, options_, id, proposals, workers_.data());
    if (!measured.ok()) {
      return measured.status().WithContext(plan_.file(plan_.objects[id].place).source.string());
    }
    return *std::min_element(measured->given.begin(), measured->given.end()) / measured->alone;
  }

  Status MeasureEdges(uint32_t id, Worker* worker, std::vector<Proposal>* proposals) {
    // Parents may have been cut otherwise since.
    std::erase_if(*proposals, [this](Proposal& proposal) { return !edges_.Bind(&proposal); });
    const auto is_fallback = [](const Proposal& proposal) { return proposal.is_fallback; };
    std::vector<Proposal> fallbacks;
    std::copy_if(proposals->begin(), proposals->end(), std::back_inserter(fallbacks), is_fallback);
    std::erase_if(*proposals, is_fallback);
    QSTORE_TRY(MeasureAll(id, worker, proposals));
    const bool is_explained = std::any_of(proposals->begin(), proposals->end(), [&](const auto& p) {
      return p.bytes < kWellExplained * alone_[id];
    });
    if (is_explained || fallbacks.empty()) return {};
    KeepLargest(&fallbacks);
    QSTORE_TRY(MeasureAll(id, worker, &fallbacks));
    std::move(fallbacks.begin(), fallbacks.end(), std::back_inserter(*proposals));
    return {};
  }

  Status MeasureAll(uint32_t id, Worker* worker, std::vector<Proposal>* proposals) {
    if (proposals->empty()) return {};
    QSTORE_ASSIGN(const plan::Measured measured, MeasureOnce(id, *proposals, worker));
    alone_[id] = measured.alone;
    for (size_t i = 0; i < proposals->size(); ++i) {
      (*proposals)[i].bytes = measured.given[i];
      (*proposals)[i].bound.reset();
    }
    return {};
  }

  // Of proposals that are tried in need, those of the parents that tell most.
  void KeepLargest(std::vector<Proposal>* fallbacks) const {
    std::stable_sort(fallbacks->begin(), fallbacks->end(), [&](const auto& a, const auto& b) {
      return plan_.objects[a.parents[0]].spec.byte_size >
             plan_.objects[b.parents[0]].spec.byte_size;
    });
    if (fallbacks->size() > kMostFallbacks) fallbacks->resize(kMostFallbacks);
  }

  // What samples take, of this object or of those that are like it.
  Result<plan::Measured> MeasureOnce(uint32_t id, const std::vector<Proposal>& proposals,
                                     Worker* worker) {
    if (!alike_->IsMeasured(id)) {
      if (auto known = alike_->Find(id, proposals)) return std::move(*known);
      return MeasureProposals(plan_, options_, id, proposals, worker);
    }
    QSTORE_ASSIGN(plan::Measured measured,
                  MeasureProposals(plan_, options_, id, proposals, worker));
    alike_->Add(id, proposals, measured);
    return measured;
  }

  // Objects of one variant that an edge has together, or that may follow from the same one, as
  // codes and their scales: the position of the first of them, by object.
  std::vector<uint32_t> TensorsOf(const Proposals& proposals) const {
    std::vector<uint32_t> first(plan_.objects.size());
    std::iota(first.begin(), first.end(), 0);
    const auto find = [&](uint32_t id) {
      while (first[id] != id) id = first[id] = first[first[id]];
      return id;
    };
    const auto join = [&](uint32_t a, uint32_t b) {
      if (plan_.objects[a].place.variant != plan_.objects[b].place.variant) return;
      const auto [low, high] = std::minmax({find(a), find(b)});
      first[high] = low;
    };
    const std::vector<bool> is_shared = SharedSides(proposals);
    std::map<std::pair<size_t, uint32_t>, uint32_t> followers;  // Of a variant, from an object.
    for (const std::vector<Proposal>& of_child : proposals) {
      for (const Proposal& proposal : of_child) {
        const size_t variant = plan_.objects[proposal.child].place.variant;
        const std::pair from(variant, proposal.parents[0]);
        join(followers.try_emplace(from, proposal.child).first->second, proposal.child);
        for (size_t p = 0; p < proposal.parents.size(); ++p) {
          if (is_shared[proposal.parents[p]]) continue;
          join(proposal.parents[p], proposal.child);
          if (p > 0) join(proposal.parents[p], proposal.parents[0]);
        }
      }
    }
    for (uint32_t id = 0; id < first.size(); ++id) first[id] = find(id);
    return first;
  }

  // Objects beside the first parents that many tensors have in common, as maps of numbers and
  // orders of inputs: these make no tensors one.
  std::vector<bool> SharedSides(const Proposals& proposals) const {
    std::vector<bool> is_shared(plan_.objects.size());
    std::map<uint32_t, uint32_t> codes_of;  // By side: those of the same variant that it goes with.
    for (const std::vector<Proposal>& of_child : proposals) {
      for (const Proposal& proposal : of_child) {
        for (size_t p = 1; p < proposal.parents.size(); ++p) {
          const uint32_t side = proposal.parents[p];
          const bool is_own =
              plan_.objects[side].place.variant == plan_.objects[proposal.child].place.variant;
          const uint32_t codes = is_own ? proposal.child : proposal.parents[0];
          if (codes_of.try_emplace(side, codes).first->second != codes) is_shared[side] = true;
        }
      }
    }
    return is_shared;
  }

  void Adopt(Proposals* proposals) {
    std::vector<plan::WeighedEdge> edges;
    std::vector<Proposal*> by_edge;
    const std::vector<uint32_t> loaded_with = TensorsOf(*proposals);
    for (std::vector<Proposal>& of_child : *proposals) {
      for (Proposal& proposal : of_child) {
        if (proposal.bytes >= kWorthwhile * alone_[proposal.child]) continue;
        edges.push_back({proposal.child, proposal.parents, proposal.bytes});
        by_edge.push_back(&proposal);
      }
    }
    const double load_weight =
        options_.level == Level::kFast ? plan::kFastLoadWeight : plan::kLoadWeight;
    for (const auto& chosen : plan::Arrange(alone_, loaded_with, edges, load_weight)) {
      if (!chosen) continue;
      Proposal& proposal = *by_edge[*chosen];
      PlannedObject& object = plan_.objects[proposal.child];
      object.scheme_id = proposal.scheme_id;
      object.params = std::move(proposal.params);
      object.parents = std::move(proposal.parents);
      object.spec.chunk_elems = proposal.chunk_elems;
    }
    Rebind();
  }

  // Whether a scheme makes the same of both.
  bool IsBoundAlike(const PlannedObject& a, const PlannedObject& b) const {
    return a.scheme_id == b.scheme_id && a.params == b.params && a.spec == b.spec &&
           std::ranges::equal(a.parents, b.parents, [this](uint32_t p, uint32_t q) {
             return plan_.objects[p].spec == plan_.objects[q].spec;
           });
  }

  // An object may have been cut for its parents in a way that is not that of its children.
  // Those that are alike but for their content share what is bound.
  void Rebind() {
    constexpr size_t kKinds = 1021;
    std::vector<uint32_t> kinds(kKinds, kNoObject);  // By size: one that was bound.
    for (uint32_t id = plan_.stored_objects(); id < plan_.objects.size(); ++id) {
      PlannedObject& object = plan_.objects[id];
      if (object.scheme_id == kNoScheme) continue;
      uint32_t& like = kinds[object.spec.byte_size % kKinds];
      if (like != kNoObject && IsBoundAlike(plan_.objects[like], object)) {
        object.bound = plan_.objects[like].bound;
        continue;
      }
      std::vector<scheme::ObjectSpec> parents;
      for (const uint32_t parent : object.parents) parents.push_back(plan_.objects[parent].spec);
      auto bound = scheme::BindScheme(object.scheme_id, object.spec, parents, object.params);
      if (bound.ok()) {
        object.bound = std::move(bound).value();
        like = id;
      } else {
        PartFromParents(&object);
      }
    }
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  EdgeFinder edges_;
  std::vector<Worker> workers_;
  std::optional<AlikeEdges> alike_;
  std::vector<double> alone_;  // By object: what it takes without parents.
};

}  // namespace

Status ChooseParents(PackPlan* plan, const PlanOptions& options) {
  if (plan->variants.size() < 2) return {};
  return ParentChooser(plan, options).Run();
}

}  // namespace qstore::store
