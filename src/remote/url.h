// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "qstore/status.h"

namespace qstore::remote {

/// A URL of an HTTP server, taken apart.
struct HttpUrl {
  std::string text;    ///< As it is asked for: without fragment, and nothing left to escape.
  std::string scheme;  ///< "http" or "https".
  std::string host;    ///< In lower case; of an IPv6 address without brackets.
  unsigned port = 0;

  /// Scheme, host and port, which make up a server.
  std::string origin() const;
  /// What messages call it: without query.
  std::string shown() const;
};

/// Errors name no part of the URL that may be secret: kInvalidArgument (no URL of an HTTP server;
/// one with user or password).
Result<HttpUrl> ParseHttpUrl(std::string_view url);

/// Where a redirect from `base` to `location` leads. Errors: kIo.
Result<HttpUrl> FollowUrl(const HttpUrl& base, std::string_view location);

}  // namespace qstore::remote
