// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "qstore/archive.h"
#include "qstore/status.h"

namespace qstore::cli {

/// Opens the archive at a path or URL, as every command does. URLs of other kinds than http, https
/// and file are read by the Python package. A signal ends what waits for a server.
Result<Archive> OpenArchive(const std::string& location, const OpenOptions& options);

/// In the order they are stored.
std::vector<std::string> NamesOfVariants(const Archive& archive);

}  // namespace qstore::cli
