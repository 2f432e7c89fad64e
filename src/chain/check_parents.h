// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "chain/object_spec.h"
#include "qstore/status.h"
#include "quant/gptq.h"

namespace qstore::chain {

constexpr bool IsGptq(Relation relation) {
  return relation == Relation::kGptqFloats || relation == Relation::kGptqIntegers;
}

/// The parent of a GPTQ relation, and for kGptqIntegers the object itself without its weights.
quant::GptqTensor GptqParent(const ObjectSpec& spec, const ParentBytes& parents);
quant::GptqTensor GptqSelf(const ObjectSpec& spec, const ParentBytes& parents);

/// Whether the parents are of the types and sizes that the relation wants, for a chunk of the
/// object. kCorrupt naming the rule.
Status CheckParents(const ObjectSpec& spec, uint64_t chunk, const ParentBytes& parents);

}  // namespace qstore::chain
