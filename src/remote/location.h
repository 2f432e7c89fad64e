// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "qstore/status.h"

namespace qstore::remote {

/// Whether it is a URL or a chain of them, and no path.
bool IsUrl(std::string_view location);

/// In lower case; empty for a chain.
std::string SchemeOf(std::string_view url);

/// A URL without user, password, query and fragment.
std::string WithoutSecrets(std::string_view url);

/// The path of a file URL. Errors: kInvalidArgument (another host, a query, a bad escape).
Result<std::string> PathOfFileUrl(std::string_view url);

}  // namespace qstore::remote
