// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "store/pack_plan.h"

namespace qstore::store {

/// Has an object stored alone.
void PartFromParents(PlannedObject* object);

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

  Ancestors AncestorsOf(uint32_t id);

  PackPlan& plan_;
  std::vector<Ancestors> known_;  // By object.
  uint64_t all_ = 0;              // Ancestors of all objects that are known.
};

}  // namespace qstore::store
