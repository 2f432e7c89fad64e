// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "remote/url.h"

namespace qstore::remote {

/// The proxy that the environment names for a URL; empty for none. Looks at http_proxy, https_proxy
/// and all_proxy, in lower case before upper case, unless no_proxy names the host. HTTP_PROXY does
/// not count in a CGI program, where it is a header of a stranger's.
std::string ProxyFor(const HttpUrl& url);

/// Whether a list as in no_proxy names a host: "*"; a domain, which stands for its subdomains too;
/// an address; each also with a port.
bool IsNamedBy(const std::string& list, const std::string& host, unsigned port);

}  // namespace qstore::remote
