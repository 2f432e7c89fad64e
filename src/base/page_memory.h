// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace qstore::base {

/// Has the system provide the pages of memory that will be written as a whole, all at once: one by
/// one, as they are first touched, they cost several times as much. Does nothing to content. Only
/// worth calling for some hundred KiB.
void Prefault(std::span<std::byte> memory);

/// Asks the system for huge pages, of which a few hundred cost less than as many thousands of small
/// ones. Only advice, for memory of some ten MiB that goes back to the system when it is freed.
void AdviseHugePages(std::span<std::byte> memory);

}  // namespace qstore::base
