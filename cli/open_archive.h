// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "qstore/archive.h"
#include "qstore/status.h"

namespace qstore::cli {

/// Whether it is no path but a URL, of which each read takes long to begin.
bool IsUrl(const std::string& archive);

/// Opens an archive by its path. Errors: those of Archive::Open.
Result<Archive> OpenArchive(const std::string& archive, const OpenOptions& options);

}  // namespace qstore::cli
