// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "format/index.h"

namespace qstore::store {

/// The objects that some variants of an archive need, ascending: those of their files, and the
/// ancestors of these. `variants` says of each variant whether it is one of them.
std::vector<uint32_t> ObjectsNeeded(const format::Index& index, const std::vector<bool>& variants);

/// All objects in the order that a new archive has: docs/format.md, "Overview".
std::vector<uint32_t> OrderOfNewArchive(const format::Index& index);

/// The tables of these variants and objects. Object `objects[i]` gets the number i; chunks keep
/// their offsets. Names are views of what `index` has.
/// REQUIRES: `objects` are what the variants need, in any order.
format::Index SelectObjects(const format::Index& index, const std::vector<bool>& variants,
                            std::span<const uint32_t> objects);

}  // namespace qstore::store
