// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "remote/curl_library.h"

namespace qstore::remote {

/// Sets what all requests of this library have in common. `certificates` is a file or directory;
/// empty for those that libcurl knows.
void SetOptions(CURL* easy, const std::string& certificates);

/// Whether asking again will not help.
bool IsLasting(CURLcode code);

}  // namespace qstore::remote
