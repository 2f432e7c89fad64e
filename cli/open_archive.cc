// SPDX-License-Identifier: Apache-2.0
#include "open_archive.h"

#include <utility>

#include "program_source.h"
#include "qstore/source.h"
#include "terminal.h"

namespace qstore::cli {

Result<Archive> OpenArchive(const std::string& location, const OpenOptions& options) {
  const std::string scheme = location.substr(0, location.find(':'));
  const bool is_built_in = scheme == "http" || scheme == "https" || scheme == "file";
  if (IsUrl(location) && !is_built_in) {
    auto source = ProgramSource::Open(location);
    if (!source.ok()) return source.status();
    return qstore::OpenArchive({std::move(*source), WithoutSecrets(location), true}, options);
  }
  HttpOptions http;
  http.go_on = [] { return !StopRequested(); };
  return qstore::OpenArchive(location, options, http);
}

}  // namespace qstore::cli
