// SPDX-License-Identifier: Apache-2.0
#include "store/pack_plan.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

std::vector<uint32_t> CodingOrder(const SourceVariant& variant) {
  std::vector<uint32_t> order;
  for (const FileKind kind : {FileKind::kOpaque, FileKind::kSafetensors}) {
    for (uint32_t f = 0; f < variant.files.size(); ++f) {
      if (variant.files[f].kind == kind) order.push_back(f);
    }
  }
  return order;
}

format::ObjectEntry ToEntry(const PlannedObject& object) {
  format::ObjectEntry entry;
  entry.byte_size = object.spec.byte_size;
  entry.row_elems = object.spec.row_elems;
  entry.chunk_elems = object.spec.chunk_elems;
  entry.dtype = object.spec.dtype;
  entry.relation = object.spec.relation;
  entry.parent_dtype = object.spec.parent_dtype;
  entry.base = object.base;
  entry.scales = object.scales;
  return entry;
}

Result<PackPlan> MakePlan(std::vector<SourceVariant> variants, const PlanOptions& options) {
  std::vector<SourceTables> tables;
  tables.reserve(variants.size());
  for (const SourceVariant& variant : variants) tables.emplace_back(variant);
  std::vector<const chain::TensorTable*> views;
  for (const SourceTables& table : tables) views.push_back(&table.all());

  PackPlan plan;
  for (const size_t v : chain::OrderVariants(views)) {
    plan.variants.push_back(std::move(variants[v]));
  }
  QSTORE_TRY(AssignObjects(&plan, options));
  QSTORE_TRY(ChooseParents(&plan, options));
  return plan;
}

}  // namespace qstore::store
