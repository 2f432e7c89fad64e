// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "chain/planner.h"
#include "store/pack_plan.h"
#include "store/whole_parents.h"

namespace qstore::store {
namespace {

/// Parents that an object may have, and its spec with them.
struct Proposal {
  chain::ObjectSpec spec;
  std::array<uint32_t, chain::kParentRoles> parents = kNoParents;
};

class ParentChooser {
 public:
  ParentChooser(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), coders_(options.threads) {
    for (const SourceVariant& variant : plan_.variants) tables_.emplace_back(variant);
  }

  // Variant by variant: the depth of parents must be known.
  Status Run() {
    uint32_t begin = 0;
    for (uint32_t v = 0; v < plan_.variants.size(); ++v) {
      uint32_t end = begin;
      while (end < plan_.objects.size() && plan_.objects[end].place.variant == v) ++end;
      if (v > 0) QSTORE_TRY(RunVariant(begin, end));
      DropInvalid(begin, end);
      begin = end;
    }
    for (const PlannedObject& object : plan_.objects) {
      for (const uint32_t parent : object.parents) {
        if (parent != kNoObject) plan_.objects[parent].is_parent = true;
      }
    }
    return {};
  }

 private:
  Status RunVariant(uint32_t begin, uint32_t end) {
    const auto work = [&](const base::PipelineItem& item) {
      PlannedObject& object = plan_.objects[begin + item.index];
      return Choose(&object, &coders_[item.worker])
          .WithContext(plan_.file(object.place).source.string());
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    return base::RunPipeline(end - begin, {options_.threads, size_t{4} * options_.threads}, work,
                             retire);
  }

  Status Choose(PlannedObject* object, chain::ChunkCoder* coder) const {
    const SourceFileEntry& file = plan_.file(object->place);
    if (file.kind == FileKind::kOpaque || object->place.part == 0 || object->spec.byte_size == 0) {
      return {};
    }
    const std::vector<Proposal> proposals = Propose(*object);
    if (proposals.empty()) return {};

    std::vector<PartSource> contents;
    contents.reserve(chain::kParentRoles * proposals.size());
    std::vector<chain::Candidate> candidates;
    for (const Proposal& proposal : proposals) {
      chain::Candidate candidate{proposal.spec, {}};
      for (size_t role = 0; role < chain::kParentRoles; ++role) {
        if (proposal.parents[role] == kNoObject) continue;
        candidate.parents[role] = &contents.emplace_back(Source(proposal.parents[role]));
      }
      candidates.push_back(candidate);
    }
    const PartSource content(file.file.get(), plan_.part(object->place));
    QSTORE_ASSIGN(const std::optional<size_t> chosen,
                  chain::ChooseParent(object->spec, content, candidates, options_.level, coder));
    if (chosen) Adopt(proposals[*chosen], object);
    return {};
  }

  // Own parents may have got parents themselves meanwhile, which only odd models make them do.
  void DropInvalid(uint32_t begin, uint32_t end) {
    for (uint32_t id = begin; id < end; ++id) {
      PlannedObject& object = plan_.objects[id];
      if (object.spec.relation == Relation::kNone) continue;
      if (IsValid(object, [&](uint32_t parent) { return ToEntry(plan_.objects[parent]); })) {
        continue;
      }
      object.spec.relation = Relation::kNone;
      object.parents = kNoParents;
      object.depth = 0;
    }
  }

  PartSource Source(uint32_t object) const {
    const PartPlace& place = plan_.objects[object].place;
    return {plan_.file(place).file.get(), plan_.part(place)};
  }

  std::vector<Proposal> Propose(const PlannedObject& object) const {
    const SourceFileEntry& file = plan_.file(object.place);
    const io::SafetensorsTensor& tensor = file.header.tensors[object.place.part - 1];
    const chain::TensorDesc target{tensor.name, tensor.dtype, tensor.shape};
    std::vector<Proposal> proposals;
    const uint32_t own = object.place.variant;
    const SourceTable& own_table = tables_[own].Near(file.path);
    for (uint32_t v = own; v-- > 0;) {
      if (plan_.fixed_parents[own] && *plan_.fixed_parents[own] != v) continue;
      const SourceTable& low = tables_[v].Near(file.path);
      for (const chain::CandidateRef& found : chain::FindCandidates(target, own_table, low)) {
        Proposal proposal{object.spec, kNoParents};
        proposal.spec.relation = found.relation;
        proposal.spec.parent_dtype = found.parent_dtype;
        proposal.spec.own_dtype = found.own_dtype;
        for (size_t role = 0; role < chain::kParentRoles; ++role) {
          if (!found.parents[role]) continue;
          const bool is_own = role >= chain::kOwnScales;
          const SourceTable& table = is_own ? own_table : low;
          proposal.parents[role] = ObjectOf(is_own ? own : v, table.place(*found.parents[role]));
        }
        if (Complete(object, &proposal)) proposals.push_back(proposal);
      }
    }
    return proposals;
  }

  uint32_t ObjectOf(uint32_t variant, const TensorPlace& place) const {
    return plan_.part({variant, place.file, place.tensor + 1}).object;
  }

  // Fills in the shapes; false when the format does not allow these parents.
  bool Complete(const PlannedObject& object, Proposal* proposal) const {
    PlannedObject child = object;
    Adopt(*proposal, &child);
    // What own parents become is decided at the same time as this.
    const auto entry_of = [&](uint32_t id) {
      format::ObjectEntry entry = ToEntry(plan_.objects[id]);
      if (plan_.objects[id].place.variant == object.place.variant) {
        entry.relation = Relation::kNone;
      }
      return entry;
    };
    return IsValid(child, entry_of, &proposal->spec);
  }

  template <class EntryOf>
  bool IsValid(const PlannedObject& child, EntryOf entry_of,
               chain::ObjectSpec* spec = nullptr) const {
    std::array<format::ObjectEntry, chain::kParentRoles> entries;
    const format::ObjectEntry* at[chain::kParentRoles] = {};
    for (size_t role = 0; role < chain::kParentRoles; ++role) {
      const uint32_t id = child.parents[role];
      if (id == kNoObject) continue;
      if (plan_.file(plan_.objects[id].place).kind == FileKind::kOpaque) return false;
      if (id == plan_.part(child.place).object) return false;
      entries[role] = entry_of(id);
      at[role] = &entries[role];
    }
    const format::ParentEntries parents{at[0], at[1], at[2], at[3], at[4], at[5], at[6]};
    const format::ObjectEntry entry = ToEntry(child);
    const unsigned depth = plan_.objects[child.parents[chain::kBase]].depth;
    if (!format::CheckParents(entry, parents, depth).ok()) return false;
    if (spec != nullptr) *spec = SpecOf(entry, parents);
    return true;
  }

  void Adopt(const Proposal& proposal, PlannedObject* object) const {
    object->spec = proposal.spec;
    object->parents = proposal.parents;
    object->depth = plan_.objects[proposal.parents[chain::kBase]].depth + 1;
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  std::vector<SourceTables> tables_;
  std::vector<chain::ChunkCoder> coders_;
};

}  // namespace

Status ChooseParents(PackPlan* plan, const PlanOptions& options) {
  if (plan->variants.size() < 2) return {};
  return ParentChooser(plan, options).Run();
}

}  // namespace qstore::store
