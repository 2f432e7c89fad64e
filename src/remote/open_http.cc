// SPDX-License-Identifier: Apache-2.0
#include "remote/open_http.h"

#include "base/status_macros.h"
#include "remote/http_source.h"

namespace qstore::remote {

Result<std::shared_ptr<const ByteSource>> OpenHttp(const std::string& url,
                                                   const HttpOptions& options) {
  QSTORE_ASSIGN(std::shared_ptr<const ByteSource> source, HttpSource::Open(url, options));
  return source;
}

}  // namespace qstore::remote
