// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "plan/arrangement.h"
#include "plan/measure.h"
#include "scheme/registry.h"
#include "store/ancestor_limits.h"
#include "store/pack_plan.h"
#include "store/sample_cache.h"

namespace qstore::store {
namespace {

// An edge must gain this share of the bytes, or it is not worth reading more for.
constexpr double kWorthwhile = 0.98;

/// Parents that an object may have, bound to it.
struct Proposal {
  uint32_t child = 0;
  double bytes = 0;  // What the child then takes.
  SchemeId scheme_id = kNoScheme;
  std::vector<std::byte> params;
  std::vector<uint32_t> parents;
  std::shared_ptr<const scheme::Bound> bound;
  uint64_t chunk_elems = 0;  // Of the child, cut for these parents.
};

class ParentChooser {
 public:
  ParentChooser(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), coders_(options.threads) {
    for (const SourceVariant& variant : plan_.variants) tables_.emplace_back(variant);
  }

  Status Run() {
    FindDirect();
    // What has no edges into it is not measured: it only counts for loads of its children.
    for (const PlannedObject& object : plan_.objects) {
      alone_.push_back(static_cast<double>(object.spec.byte_size));
    }
    std::vector<std::vector<Proposal>> proposals(plan_.objects.size());
    const auto work = [&](const base::PipelineItem& item) {
      const PlannedObject& object = plan_.objects[item.index];
      return MeasureEdges(static_cast<uint32_t>(item.index), &coders_[item.worker],
                          &proposals[item.index])
          .WithContext(plan_.file(object.place).source.string());
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    QSTORE_TRY(base::RunPipeline(plan_.objects.size(),
                                 {options_.threads, size_t{4} * options_.threads}, work, retire));
    Adopt(&proposals);
    AncestorLimits limits(&plan_);
    for (uint32_t id = 0; id < plan_.objects.size(); ++id) limits.Keep(id);
    for (const PlannedObject& object : plan_.objects) {
      for (const uint32_t parent : object.parents) plan_.objects[parent].is_parent = true;
    }
    return {};
  }

 private:
  // What a direct variant has is loaded from its own bytes, also where others have it too.
  void FindDirect() {
    is_direct_.resize(plan_.objects.size());
    for (size_t v = 0; v < plan_.variants.size(); ++v) {
      if (!plan_.is_direct[v]) continue;
      for (const SourceFileEntry& file : plan_.variants[v].files) {
        for (const SourcePart& part : file.parts) is_direct_[part.object] = true;
      }
    }
  }

  Status MeasureEdges(uint32_t id, scheme::ChunkCoder* coder, std::vector<Proposal>* proposals) {
    const PlannedObject& object = plan_.objects[id];
    const SourceFileEntry& file = plan_.file(object.place);
    const bool is_tensor = file.parts[object.place.part].tensor != kNoTensor;
    if (is_direct_[id] || !is_tensor || object.spec.byte_size == 0) return {};
    *proposals = Propose(id);
    if (proposals->empty()) return {};
    QSTORE_ASSIGN(const plan::Measured measured, MeasureOnce(id, *proposals, coder));
    alone_[id] = measured.alone;
    for (size_t i = 0; i < proposals->size(); ++i) (*proposals)[i].bytes = measured.given[i];
    return {};
  }

  Result<plan::Measured> MeasureOnce(uint32_t id, const std::vector<Proposal>& proposals,
                                     scheme::ChunkCoder* coder) const {
    if (options_.samples == nullptr) return Measure(plan_.objects[id], proposals, coder);
    SampleKey key(&plan_);
    key.AddObject(id);
    for (const Proposal& proposal : proposals) {
      key.AddEdge(proposal.scheme_id, proposal.params, proposal.parents, proposal.chunk_elems);
    }
    if (auto known = options_.samples->edges.Find(key)) return std::move(*known);
    QSTORE_ASSIGN(plan::Measured measured, Measure(plan_.objects[id], proposals, coder));
    options_.samples->edges.Put(key, measured);
    return measured;
  }

  Result<plan::Measured> Measure(const PlannedObject& object,
                                 const std::vector<Proposal>& proposals,
                                 scheme::ChunkCoder* coder) const {
    size_t count = 0;
    for (const Proposal& proposal : proposals) count += proposal.parents.size();
    std::vector<PartSource> contents;
    contents.reserve(count);
    std::vector<plan::Candidate> candidates;
    candidates.reserve(proposals.size());
    for (const Proposal& proposal : proposals) {
      plan::Candidate candidate{proposal.bound.get(), {}};
      for (const uint32_t parent : proposal.parents) {
        candidate.parents.push_back(&contents.emplace_back(Source(parent)));
      }
      candidates.push_back(std::move(candidate));
    }
    const PartSource content(plan_.file(object.place).file.get(), plan_.part(object.place));
    return plan::Measure(object.spec, content, candidates, options_.level, coder);
  }

  // Objects of one variant that an edge has together, or that may follow from the same one, as
  // codes and their scales: the position of the first of them, by object.
  std::vector<uint32_t> TensorsOf(const std::vector<std::vector<Proposal>>& proposals) const {
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
  std::vector<bool> SharedSides(const std::vector<std::vector<Proposal>>& proposals) const {
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

  void Adopt(std::vector<std::vector<Proposal>>* proposals) {
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
      object.bound = std::move(proposal.bound);
      object.spec.chunk_elems = proposal.chunk_elems;
    }
    Rebind();
  }

  // An object may have been cut for its parents in a way that is not that of its children.
  void Rebind() {
    for (PlannedObject& object : plan_.objects) {
      if (object.scheme_id == kNoScheme) continue;
      std::vector<scheme::ObjectSpec> parents;
      for (const uint32_t parent : object.parents) parents.push_back(plan_.objects[parent].spec);
      auto bound = scheme::BindScheme(object.scheme_id, object.spec, parents, object.params);
      if (bound.ok()) {
        object.bound = std::move(bound).value();
      } else {
        PartFromParents(&object);
      }
    }
  }

  PartSource Source(uint32_t object) const {
    const PartPlace& place = plan_.objects[object].place;
    return {plan_.file(place).file.get(), plan_.part(place)};
  }

  // Edges from all other variants, whichever come first.
  std::vector<Proposal> Propose(uint32_t id) const {
    const PlannedObject& object = plan_.objects[id];
    const SourceFileEntry& file = plan_.file(object.place);
    const container::Tensor& tensor = file.tensors[file.parts[object.place.part].tensor];
    const scheme::TensorDesc target{tensor.name, tensor.dtype, tensor.shape};
    std::vector<Proposal> proposals;
    const uint32_t own = object.place.variant;
    const SourceTable& own_table = tables_[own].Near(file.path);
    for (uint32_t v = 0; v < plan_.variants.size(); ++v) {
      if (v == own || FollowsFrom(v, own)) continue;
      if (plan_.fixed_parents[own] && *plan_.fixed_parents[own] != v) continue;
      const SourceTable& other = tables_[v].Near(file.path);
      std::vector<scheme::Edge> edges;
      for (const scheme::Scheme* each : scheme::Schemes()) {
        each->Detect(target, own_table, other, &edges);
      }
      for (scheme::Edge& edge : edges) {
        Proposal proposal{id, 0, edge.scheme->id(), std::move(edge.params), {}, nullptr, 0};
        for (const scheme::ParentRef& parent : edge.parents) {
          const SourceTable& table = parent.is_own ? own_table : other;
          proposal.parents.push_back(ObjectOf(parent.is_own ? own : v, table.place(parent.tensor)));
        }
        proposal.chunk_elems = ChunkElems(object.spec, edge, proposal);
        if (Bind(object, &proposal)) proposals.push_back(std::move(proposal));
      }
    }
    return proposals;
  }

  // Whether the parents given say that the one variant follows from the other, by way of any.
  bool FollowsFrom(uint32_t variant, uint32_t ancestor) const {
    while (plan_.fixed_parents[variant]) {
      variant = *plan_.fixed_parents[variant];
      if (variant == ancestor) return true;
    }
    return false;
  }

  uint32_t ObjectOf(uint32_t variant, const TensorPlace& place) const {
    const SourceFileEntry& file = plan_.variants[variant].files[place.file];
    return file.parts[file.tensors[place.tensor].part].object;
  }

  uint64_t ChunkElems(const scheme::ObjectSpec& child, const scheme::Edge& edge,
                      const Proposal& proposal) const {
    if (!edge.follows_chunks) return child.chunk_elems;
    const scheme::ObjectSpec& parent = plan_.objects[proposal.parents[0]].spec;
    const uint64_t per_elem = parent.elem_count() / std::max<uint64_t>(1, child.elem_count());
    return std::max<uint64_t>(1, parent.chunk_elems / std::max<uint64_t>(1, per_elem));
  }

  static scheme::ObjectSpec SpecUnder(const PlannedObject& object, const Proposal& proposal) {
    scheme::ObjectSpec spec = object.spec;
    spec.chunk_elems = proposal.chunk_elems;
    return spec;
  }

  // False when the format does not allow these parents.
  bool Bind(const PlannedObject& object, Proposal* proposal) const {
    const uint32_t self = plan_.part(object.place).object;
    std::vector<scheme::ObjectSpec> parents;
    for (const uint32_t parent : proposal->parents) {
      if (parent == self) return false;
      parents.push_back(plan_.objects[parent].spec);
    }
    const scheme::ObjectSpec spec = SpecUnder(object, *proposal);
    auto bound = scheme::BindScheme(proposal->scheme_id, spec, parents, proposal->params);
    if (!bound.ok()) return false;
    proposal->bound = std::move(bound).value();
    return true;
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  std::vector<SourceTables> tables_;
  std::vector<scheme::ChunkCoder> coders_;
  std::vector<bool> is_direct_;  // By object.
  std::vector<double> alone_;    // By object: what it takes without parents.
};

}  // namespace

Status ChooseParents(PackPlan* plan, const PlanOptions& options) {
  if (plan->variants.size() < 2) return {};
  return ParentChooser(plan, options).Run();
}

}  // namespace qstore::store
