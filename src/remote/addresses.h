// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace qstore::remote {

/// Whether an IP address, as a socket tells it, is of the public internet. Loopback, private,
/// shared, link-local, unique-local and multicast addresses are not, and no IPv6 address that
/// stands for such a one of IPv4.
bool IsPublicAddress(const std::string& address);

/// The same of what a URL names, as far as that tells: names may stand for any address.
bool IsPublicHost(const std::string& host);

}  // namespace qstore::remote
