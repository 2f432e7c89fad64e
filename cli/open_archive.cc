// SPDX-License-Identifier: Apache-2.0
#include "open_archive.h"

namespace qstore::cli {

bool IsUrl(const std::string& archive) { return archive.find("://") != std::string::npos; }

// The one place that turns what users name into an archive.
Result<Archive> OpenArchive(const std::string& archive, const OpenOptions& options) {
  return Archive::Open(archive, options);
}

}  // namespace qstore::cli
