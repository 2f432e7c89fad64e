// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace qstore::base {

/// Has the system provide the pages of memory that will be written as a whole, all at once: one by
/// one, as they are first touched, they cost several times as much. Does nothing to content. Only
/// worth calling for some hundred KiB.
void Prefault(std::span<std::byte> memory);

}  // namespace qstore::base
