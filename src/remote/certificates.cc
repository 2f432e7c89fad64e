// SPDX-License-Identifier: Apache-2.0
#include "remote/certificates.h"

#include <cstdlib>
#include <filesystem>

namespace qstore::remote {

std::string TrustedCertificates(const std::string& fallback) {
  for (const char* name :
       {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  // Of Debian, Fedora, openSUSE and Alpine, and those that take after them.
  for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return fallback;
}

}  // namespace qstore::remote
