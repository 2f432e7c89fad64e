// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "qstore/source.h"
#include "qstore/status.h"

namespace qstore::remote {

/// Errors: kInvalidArgument, without what may be secret.
Status CheckOptions(const HttpOptions& options);

/// As lines of a request, but for those that a source gives itself. REQUIRES: CheckOptions.
std::vector<std::string> FieldsOf(const std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace qstore::remote
