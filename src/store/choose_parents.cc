// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "chain/planner.h"
#include "store/pack_plan.h"

namespace qstore::store {
namespace {

/// A parent that an object may have: the objects, and the places the candidate's content is read
/// from.
struct Proposal {
  Relation relation;
  DType parent_dtype;
  uint32_t base;
  uint32_t scales;
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
      begin = end;
    }
    for (const PlannedObject& object : plan_.objects) {
      if (object.base != kNoObject) plan_.objects[object.base].is_parent = true;
      if (object.scales != kNoObject) plan_.objects[object.scales].is_parent = true;
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
    contents.reserve(2 * proposals.size());
    std::vector<chain::Candidate> candidates;
    for (const Proposal& proposal : proposals) {
      chain::Candidate candidate{proposal.relation, proposal.parent_dtype, nullptr, nullptr};
      candidate.base = &contents.emplace_back(Source(proposal.base));
      if (proposal.scales != kNoObject) {
        candidate.scales = &contents.emplace_back(Source(proposal.scales));
      }
      candidates.push_back(candidate);
    }
    const PartSource content(file.file.get(), plan_.part(object->place));
    QSTORE_ASSIGN(const std::optional<size_t> chosen,
                  chain::ChooseParent(object->spec, content, candidates, options_.level, coder));
    if (chosen) Adopt(proposals[*chosen], object);
    return {};
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
    for (uint32_t v = object.place.variant; v-- > 0;) {
      const SourceTable& low = tables_[v].Near(file.path);
      for (const chain::CandidateRef& found : chain::FindCandidates(target, low)) {
        Proposal proposal{found.relation, low.tensor(found.base).dtype,
                          ObjectOf(v, low.place(found.base)), kNoObject};
        if (found.scales) proposal.scales = ObjectOf(v, low.place(*found.scales));
        if (Admissible(object, proposal)) proposals.push_back(proposal);
      }
    }
    return proposals;
  }

  uint32_t ObjectOf(uint32_t variant, const TensorPlace& place) const {
    return plan_.part({variant, place.file, place.tensor + 1}).object;
  }

  bool Admissible(const PlannedObject& object, const Proposal& proposal) const {
    PlannedObject child = object;
    const PlannedObject& base = plan_.objects[proposal.base];
    if (plan_.file(base.place).kind == FileKind::kOpaque) return false;
    Adopt(proposal, &child);
    format::ObjectEntry scales;
    const bool has_scales = proposal.scales != kNoObject;
    if (has_scales) {
      if (plan_.file(plan_.objects[proposal.scales].place).kind == FileKind::kOpaque) return false;
      scales = ToEntry(plan_.objects[proposal.scales]);
    }
    return format::CheckParents(ToEntry(child), ToEntry(base), has_scales ? &scales : nullptr,
                                base.depth)
        .ok();
  }

  void Adopt(const Proposal& proposal, PlannedObject* object) const {
    object->spec.relation = proposal.relation;
    object->spec.parent_dtype = proposal.parent_dtype;
    object->base = proposal.base;
    object->scales = proposal.scales;
    object->depth = plan_.objects[proposal.base].depth + 1;
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
