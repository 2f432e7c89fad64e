// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace qstore::remote {

/// The file or directory of certificates to trust: what the environment names (CURL_CA_BUNDLE,
/// REQUESTS_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR), the file of this system, or `fallback`. Empty
/// leaves it to libcurl, whose own default may be of another system.
std::string TrustedCertificates(const std::string& fallback);

}  // namespace qstore::remote
