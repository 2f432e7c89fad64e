// SPDX-License-Identifier: Apache-2.0
#include "remote/curl_options.h"

#include <filesystem>
#include <system_error>

#include "remote/curl_library.h"

namespace qstore::remote {
namespace {

constexpr long kReceived = 256L << 10;  // At once.

void AllowOnlyHttp(CURL* easy) {
#if LIBCURL_VERSION_NUM >= 0x075500
  Curl().easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  Curl().easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

// Who looks up a name may take long, and cannot be stopped: it is not waited for.
void NeverWaitForNames(CURL* easy) {
#if LIBCURL_VERSION_NUM >= 0x075700
  Curl().easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#else
  static_cast<void>(easy);
#endif
}

void TrustOnly(CURL* easy, const std::string& certificates) {
  if (certificates.empty()) return;
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(certificates, ignored);
  const char* const named = certificates.c_str();
  Curl().easy_setopt(easy, CURLOPT_CAINFO, is_directory ? nullptr : named);
  Curl().easy_setopt(easy, CURLOPT_CAPATH, is_directory ? named : nullptr);
}

}  // namespace

void SetOptions(CURL* easy, const std::string& certificates) {
  AllowOnlyHttp(easy);
  NeverWaitForNames(easy);
  TrustOnly(easy, certificates);
  Curl().easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  Curl().easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  Curl().easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Curl().easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  Curl().easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceived);
  Curl().easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  Curl().easy_setopt(easy, CURLOPT_NOPROXY, "");
}

bool IsLasting(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return true;
    default:
      return false;
  }
}

}  // namespace qstore::remote
