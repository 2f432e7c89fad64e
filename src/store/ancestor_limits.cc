// SPDX-License-Identifier: Apache-2.0
#include "store/ancestor_limits.h"

#include <algorithm>

#include "format/limits.h"

namespace qstore::store {
namespace {

constexpr unsigned kTooDeep = format::kMaxDepth + 1;

}  // namespace

void PartFromParents(PlannedObject* object) {
  object->scheme_id = kNoScheme;
  object->params.clear();
  object->parents.clear();
  object->bound.reset();
}

AncestorLimits::Ancestors AncestorLimits::AncestorsOf(uint32_t id) {
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
  if (found.depth > format::kMaxDepth || found.count > format::kMaxAncestors ||
      found.count > format::kMaxAllAncestors - all_) {
    PartFromParents(&plan_.objects[id]);
    found = {};
  }
  found.is_known = true;
  all_ += found.count;
  known_[id] = found;
  return found;
}

}  // namespace qstore::store
