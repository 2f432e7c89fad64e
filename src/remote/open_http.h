// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "qstore/byte_source.h"
#include "qstore/source.h"
#include "qstore/status.h"

namespace qstore::remote {

/// What an HTTP server has at a URL. Errors: as qstore::OpenSource; kUnsupportedFeature where the
/// library was built without libcurl.
Result<std::shared_ptr<const ByteSource>> OpenHttp(const std::string& url,
                                                   const HttpOptions& options);

}  // namespace qstore::remote
