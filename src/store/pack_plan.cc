// SPDX-License-Identifier: Apache-2.0
#include "store/pack_plan.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/status_macros.h"
#include "plan/order.h"

namespace qstore::store {

std::vector<uint32_t> CodingOrder(const SourceVariant& variant) {
  std::vector<uint32_t> order;
  for (const bool has_structure : {false, true}) {
    for (uint32_t f = 0; f < variant.files.size(); ++f) {
      const bool has = variant.files[f].container != kNoContainer;
      if (has == has_structure) order.push_back(f);
    }
  }
  return order;
}

namespace {

Result<size_t> FindSource(std::span<const SourceVariant> variants, const std::string& name) {
  for (size_t v = 0; v < variants.size(); ++v) {
    if (variants[v].name == name) return v;
  }
  return InvalidArgument("no variant is named '" + name + "'");
}

bool Has(std::span<const SourceVariant> variants, const std::string& name) {
  return std::any_of(variants.begin(), variants.end(),
                     [&](const SourceVariant& variant) { return variant.name == name; });
}

// Moves direct variants to the front, and each chosen parent before its child. What is `stored` is
// before all of them.
Status ApplyChoices(std::span<const SourceVariant> stored, std::span<const SourceVariant> variants,
                    const PlanOptions& options, std::vector<size_t>* order) {
  const auto place = [&](size_t v) { return std::find(order->begin(), order->end(), v); };
  const auto is_direct = [&](size_t v) {
    return std::find(options.direct.begin(), options.direct.end(), variants[v].name) !=
           options.direct.end();
  };
  for (const std::string& name : options.direct) {
    QSTORE_TRY(FindSource(variants, name).status());
  }
  std::stable_partition(order->begin(), order->end(), is_direct);
  // A chain of n parents settles after n rounds; only a circle never does.
  for (size_t round = 0; round <= variants.size(); ++round) {
    bool settled = true;
    for (const ParentChoice& choice : options.parents) {
      if (Has(stored, choice.child)) {
        return InvalidArgument("variant '" + choice.child + "' is stored already, as it is");
      }
      QSTORE_ASSIGN(const size_t child, FindSource(variants, choice.child));
      if (is_direct(child)) {
        return InvalidArgument("variant '" + choice.child + "' is direct and has no parent");
      }
      if (Has(stored, choice.parent)) continue;
      QSTORE_ASSIGN(const size_t parent, FindSource(variants, choice.parent));
      if (place(parent) < place(child)) continue;
      settled = false;
      std::rotate(place(child), place(parent), place(parent) + 1);
    }
    if (settled) return {};
  }
  return InvalidArgument("the parents given make a circle");
}

Status FixParents(const PlanOptions& options, PackPlan* plan) {
  plan->fixed_parents.resize(plan->variants.size());
  for (const ParentChoice& choice : options.parents) {
    QSTORE_ASSIGN(const size_t child, FindSource(plan->variants, choice.child));
    QSTORE_ASSIGN(const size_t parent, FindSource(plan->variants, choice.parent));
    auto& fixed = plan->fixed_parents[child];
    if (fixed && *fixed != parent) {
      return InvalidArgument("variant '" + choice.child + "' is given two parents");
    }
    fixed = static_cast<uint32_t>(parent);
  }
  return {};
}

std::vector<size_t> OrderVariants(std::span<const SourceVariant> variants) {
  std::vector<SourceTables> tables;
  tables.reserve(variants.size());
  for (const SourceVariant& variant : variants) tables.emplace_back(variant);
  std::vector<const scheme::TensorTable*> views;
  for (const SourceTables& table : tables) views.push_back(&table.all());
  return plan::OrderVariants(views);
}

// The level by which the matrices of the archive are cut; where none tells, `level`.
Level CutLevel(const PackPlan& plan, Level level) {
  for (uint32_t v = 0; v < plan.stored_variants(); ++v) {
    for (const SourceFileEntry& file : plan.variants[v].files) {
      for (const container::Tensor& tensor : file.tensors) {
        const SourcePart& part = file.parts[tensor.part];
        const auto cut_at = [&](Level at) {
          return scheme::SpecFor(tensor.dtype, tensor.shape, part.size(), at).chunk_elems;
        };
        const uint64_t is_cut = plan.objects[part.object].spec.chunk_elems;
        if (cut_at(Level::kMax) == cut_at(Level::kBalanced)) continue;
        if (is_cut == cut_at(Level::kMax)) return Level::kMax;
        if (is_cut == cut_at(Level::kBalanced)) return std::min(level, Level::kBalanced);
      }
    }
  }
  return level;
}

}  // namespace

Result<PackPlan> MakePlan(std::vector<SourceVariant> variants, const PlanOptions& options,
                          StoredModel stored) {
  PackPlan plan;
  plan.stored = stored.index;
  plan.variants = std::move(stored.variants);
  plan.objects = std::move(stored.objects);
  std::vector<size_t> order = OrderVariants(variants);
  QSTORE_TRY(ApplyChoices(plan.variants, variants, options, &order));
  for (const size_t v : order) plan.variants.push_back(std::move(variants[v]));
  QSTORE_TRY(FixParents(options, &plan));
  for (const SourceVariant& variant : plan.variants) {
    const auto& direct = options.direct;
    plan.is_direct.push_back(std::find(direct.begin(), direct.end(), variant.name) != direct.end());
  }
  plan.cut_level = CutLevel(plan, options.level);
  if (plan.stored != nullptr) QSTORE_TRY(AssignStored(&plan, options));
  QSTORE_TRY(AssignObjects(&plan, options));
  QSTORE_TRY(ChooseParents(&plan, options));
  return plan;
}

}  // namespace qstore::store
