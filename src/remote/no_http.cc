// SPDX-License-Identifier: Apache-2.0
#include "remote/location.h"
#include "remote/open_http.h"

// In place of all that needs libcurl.
namespace qstore::remote {

Result<std::shared_ptr<const ByteSource>> OpenHttp(const std::string& url,
                                                   const HttpOptions& /*options*/) {
  return Status(ErrorCode::kUnsupportedFeature,
                WithoutSecrets(url) + ": qstore was built without libcurl, which reads URLs");
}

}  // namespace qstore::remote
