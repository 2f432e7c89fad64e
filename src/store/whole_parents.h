// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "chain/object_spec.h"
#include "format/index.h"
#include "qstore/status.h"
#include "store/whole_source.h"

namespace qstore::store {

/// Whole contents of an object's parents, kept alive as long as this is.
struct WholeContents {
  std::vector<std::shared_ptr<const void>> held;
  chain::ParentBytes bytes;
};

/// Fetches the parents that every chunk of `object` takes whole; a base parent that goes by chunks
/// is left to the caller.
Result<WholeContents> FetchWholeParents(
    const format::ObjectEntry& object,
    const std::function<Result<WholeContent>(uint32_t object)>& get);

/// What a chunk coder must know of an object. `parents` as CheckParents wants them.
chain::ObjectSpec SpecOf(const format::ObjectEntry& object, const format::ParentEntries& parents);

}  // namespace qstore::store
