// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/limits.h"
#include "plan/planner.h"
#include "scheme/registry.h"
#include "store/pack_plan.h"

namespace qstore::store {
namespace {

/// Parents that an object may have, bound to it.
struct Proposal {
  SchemeId scheme_id = kNoScheme;
  std::vector<std::byte> params;
  std::vector<uint32_t> parents;
  std::shared_ptr<const scheme::Bound> bound;
};

/// Drops parents by which objects would have more ancestors than the format allows, or be their
/// own: tensors of odd names may explain one another in a circle.
class AncestorLimits {
 public:
  explicit AncestorLimits(PackPlan* plan) : plan_(*plan), known_(plan->objects.size()) {}

  void Keep(uint32_t id) { (void)AncestorsOf(id); }

 private:
  struct Ancestors {
    bool is_known = false;
    bool is_sought = false;
    unsigned depth = 0;
    unsigned count = 0;
  };

  static constexpr unsigned kTooDeep = format::kMaxDepth + 1;

  Ancestors AncestorsOf(uint32_t id) {
    Ancestors& own = known_[id];
    if (own.is_known) return own;
    own.is_sought = true;
    Ancestors found;
    for (const uint32_t parent : plan_.objects[id].parents) {
      if (known_[parent].is_sought) found.depth = kTooDeep;
      if (found.depth == kTooDeep) break;
      const Ancestors of_parent = AncestorsOf(parent);
      found.depth = std::max(found.depth, of_parent.depth + 1);
      found.count += of_parent.count + 1;
    }
    if (found.depth > format::kMaxDepth || found.count > format::kMaxAncestors) {
      PlannedObject& object = plan_.objects[id];
      object.scheme_id = kNoScheme;
      object.params.clear();
      object.parents.clear();
      object.bound.reset();
      found = {};
    }
    found.is_known = true;
    known_[id] = found;
    return found;
  }

  PackPlan& plan_;
  std::vector<Ancestors> known_;  // By object.
};

class ParentChooser {
 public:
  ParentChooser(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), coders_(options.threads) {
    for (const SourceVariant& variant : plan_.variants) tables_.emplace_back(variant);
  }

  Status Run() {
    const auto work = [&](const base::PipelineItem& item) {
      PlannedObject& object = plan_.objects[item.index];
      return Choose(&object, &coders_[item.worker])
          .WithContext(plan_.file(object.place).source.string());
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    QSTORE_TRY(base::RunPipeline(plan_.objects.size(),
                                 {options_.threads, size_t{4} * options_.threads}, work, retire));
    AncestorLimits limits(&plan_);
    for (uint32_t id = 0; id < plan_.objects.size(); ++id) limits.Keep(id);
    for (const PlannedObject& object : plan_.objects) {
      for (const uint32_t parent : object.parents) plan_.objects[parent].is_parent = true;
    }
    return {};
  }

 private:
  Status Choose(PlannedObject* object, scheme::ChunkCoder* coder) const {
    const SourceFileEntry& file = plan_.file(object->place);
    if (object->place.variant == 0 || file.kind == FileKind::kOpaque || object->place.part == 0 ||
        object->spec.byte_size == 0) {
      return {};
    }
    std::vector<Proposal> proposals = Propose(*object);
    if (proposals.empty()) return {};

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
    const PartSource content(file.file.get(), plan_.part(object->place));
    QSTORE_ASSIGN(const std::optional<size_t> chosen,
                  plan::ChooseParent(object->spec, content, candidates, options_.level, coder));
    if (!chosen) return {};
    Proposal& proposal = proposals[*chosen];
    object->scheme_id = proposal.scheme_id;
    object->params = std::move(proposal.params);
    object->parents = std::move(proposal.parents);
    object->bound = std::move(proposal.bound);
    return {};
  }

  PartSource Source(uint32_t object) const {
    const PartPlace& place = plan_.objects[object].place;
    return {plan_.file(place).file.get(), plan_.part(place)};
  }

  std::vector<Proposal> Propose(const PlannedObject& object) const {
    const SourceFileEntry& file = plan_.file(object.place);
    const io::SafetensorsTensor& tensor = file.header.tensors[object.place.part - 1];
    const scheme::TensorDesc target{tensor.name, tensor.dtype, tensor.shape};
    std::vector<Proposal> proposals;
    const uint32_t own = object.place.variant;
    const SourceTable& own_table = tables_[own].Near(file.path);
    for (uint32_t v = own; v-- > 0;) {
      if (plan_.fixed_parents[own] && *plan_.fixed_parents[own] != v) continue;
      const SourceTable& other = tables_[v].Near(file.path);
      std::vector<scheme::Edge> edges;
      for (const scheme::Scheme* each : scheme::Schemes()) {
        each->Detect(target, own_table, other, &edges);
      }
      for (scheme::Edge& edge : edges) {
        Proposal proposal{edge.scheme->id(), std::move(edge.params), {}, nullptr};
        for (const scheme::ParentRef& parent : edge.parents) {
          const SourceTable& table = parent.is_own ? own_table : other;
          proposal.parents.push_back(ObjectOf(parent.is_own ? own : v, table.place(parent.tensor)));
        }
        if (Bind(object, &proposal)) proposals.push_back(std::move(proposal));
      }
    }
    return proposals;
  }

  uint32_t ObjectOf(uint32_t variant, const TensorPlace& place) const {
    return plan_.part({variant, place.file, place.tensor + 1}).object;
  }

  // False when the format does not allow these parents.
  bool Bind(const PlannedObject& object, Proposal* proposal) const {
    const uint32_t self = plan_.part(object.place).object;
    std::vector<scheme::ObjectSpec> parents;
    for (const uint32_t parent : proposal->parents) {
      if (parent == self) return false;
      parents.push_back(plan_.objects[parent].spec);
    }
    auto bound = scheme::BindScheme(proposal->scheme_id, object.spec, parents, proposal->params);
    if (!bound.ok()) return false;
    proposal->bound = std::move(bound).value();
    return true;
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  std::vector<SourceTables> tables_;
  std::vector<scheme::ChunkCoder> coders_;
};

}  // namespace

Status ChooseParents(PackPlan* plan, const PlanOptions& options) {
  if (plan->variants.size() < 2) return {};
  return ParentChooser(plan, options).Run();
}

}  // namespace qstore::store
