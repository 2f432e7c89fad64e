// SPDX-License-Identifier: Apache-2.0
#include "remote/url.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>

#include "base/status_macros.h"
#include "remote/curl_library.h"
#include "remote/location.h"

namespace qstore::remote {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

// What may not stand in a URL as it is, escaped. Of a host that is left to whoever looks it up.
std::string Escaped(std::string_view url) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const size_t scheme = url.find("://");
  const bool has_host = scheme != std::string_view::npos && url.find_first_of("/?#") == scheme + 1;
  const size_t path = has_host ? url.find_first_of("/?#", scheme + 3) : 0;
  std::string text(url.substr(0, path));
  for (const char c : url.substr(std::min(path, url.size()))) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f &&
        std::string_view("\"<>\\^`{|}").find(c) == std::string::npos) {
      text += c;
    } else {
      text += '%';
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
  }
  return text;
}

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (Curl().url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  Curl().free(text);
  return copy;
}

bool IsHttp(const std::string& scheme) { return scheme == "http" || scheme == "https"; }

// What `handle` holds. False when that is no URL of an HTTP server.
bool TakeApart(CURLU* handle, HttpUrl* url) {
  static_cast<void>(Curl().url_set(handle, CURLUPART_FRAGMENT, nullptr, 0));
  url->text = Part(handle, CURLUPART_URL);
  url->scheme = Part(handle, CURLUPART_SCHEME);
  url->host = Part(handle, CURLUPART_HOST);
  for (char& c : url->host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (url->host.size() > 1 && url->host.front() == '[') {
    url->host = url->host.substr(1, url->host.size() - 2);
  }
  const std::string port = Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url->port = static_cast<unsigned>(std::strtoul(port.c_str(), nullptr, 10));
  return !url->text.empty() && IsHttp(url->scheme) && !url->host.empty() && url->port != 0;
}

bool HasUser(CURLU* handle) {
  return !Part(handle, CURLUPART_USER).empty() || !Part(handle, CURLUPART_PASSWORD).empty();
}

}  // namespace

std::string HttpUrl::origin() const { return scheme + "://" + host + ":" + std::to_string(port); }

std::string HttpUrl::shown() const { return text.substr(0, text.find('?')); }

Result<HttpUrl> ParseHttpUrl(std::string_view url) {
  QSTORE_TRY(LoadCurl());
  const Handle handle(Curl().url(), Curl().url_cleanup);
  if (handle == nullptr) return LimitExceeded("out of memory");
  HttpUrl parsed;
  // A null character would end it early, at another file's name.
  if (url.find('\0') != std::string_view::npos ||
      Curl().url_set(handle.get(), CURLUPART_URL, Escaped(url).c_str(), 0) != CURLUE_OK ||
      !TakeApart(handle.get(), &parsed)) {
    return InvalidArgument("'" + WithoutSecrets(url) + "' is no URL of an HTTP server");
  }
  if (HasUser(handle.get())) {
    return InvalidArgument(parsed.host + ": give user and password as a header");
  }
  return parsed;
}

Result<HttpUrl> FollowUrl(const HttpUrl& base, std::string_view location) {
  const Handle handle(Curl().url(), Curl().url_cleanup);
  if (handle == nullptr) return LimitExceeded("out of memory");
  HttpUrl parsed;
  if (Curl().url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0) != CURLUE_OK ||
      Curl().url_set(handle.get(), CURLUPART_URL, Escaped(location).c_str(),
                     CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
      !TakeApart(handle.get(), &parsed) || HasUser(handle.get())) {
    return IoError("redirected to what cannot be read: no URL of an HTTP server");
  }
  return parsed;
}

}  // namespace qstore::remote
