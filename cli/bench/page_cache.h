// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>

#include "qstore/status.h"

namespace qstore::cli {

/// The part of the files' pages that is in memory, 0 to 1; 1 when they have none.
Result<double> ResidentShare(std::span<const std::filesystem::path> files);

/// Takes the files out of the page cache: written back and dropped with posix_fadvise, and where
/// pages remain, by dropping all caches of the system when that is permitted.
/// Returns: the share that is still there.
Result<double> DropPages(std::span<const std::filesystem::path> files);

/// Reads what is missing, so that all of the files' pages are in memory.
Status WarmPages(std::span<const std::filesystem::path> files);

}  // namespace qstore::cli
