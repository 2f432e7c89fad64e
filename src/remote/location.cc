// SPDX-License-Identifier: Apache-2.0
#include "remote/location.h"

#include <algorithm>
#include <cctype>
#include <optional>

namespace qstore::remote {
namespace {

constexpr std::string_view kSchemeEnd = "://";
constexpr std::string_view kChain = "::";

bool IsSchemeLetter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
}

// How many letters of a scheme it begins with; 0 when that is none.
size_t SchemeLength(std::string_view text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return 0;
  const auto* const end = std::find_if_not(text.begin(), text.end(), IsSchemeLetter);
  return static_cast<size_t>(end - text.begin());
}

std::optional<unsigned> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const int lower = std::tolower(static_cast<unsigned char>(c));
  if (lower >= 'a' && lower <= 'f') return static_cast<unsigned>(lower - 'a' + 10);
  return std::nullopt;
}

}  // namespace

bool IsUrl(std::string_view location) {
  const size_t length = SchemeLength(location);
  if (length == 0) return false;
  const std::string_view rest = location.substr(length);
  return rest.starts_with(kSchemeEnd) || rest.starts_with(kChain);
}

std::string SchemeOf(std::string_view url) {
  const size_t length = SchemeLength(url);
  if (!url.substr(length).starts_with(kSchemeEnd)) return "";
  std::string scheme(url.substr(0, length));
  for (char& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return scheme;
}

std::string WithoutSecrets(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = url.find(kSchemeEnd);
  if (scheme == std::string_view::npos) return std::string(url);
  const size_t host = scheme + kSchemeEnd.size();
  const std::string_view authority = url.substr(host, url.find('/', host) - host);
  const size_t at = authority.rfind('@');
  const size_t skipped = at == std::string_view::npos ? 0 : at + 1;
  return std::string(url.substr(0, host)) + std::string(url.substr(host + skipped));
}

Result<std::string> PathOfFileUrl(std::string_view url) {
  const auto wrong = [&](const char* rule) {
    return InvalidArgument("'" + std::string(url) + "': " + rule);
  };
  if (url.find_first_of("?#") != std::string_view::npos) return wrong("a file URL has a path only");
  const std::string_view rest = url.substr(url.find(kSchemeEnd) + kSchemeEnd.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view host = rest.substr(0, slash);
  if (!host.empty() && host != "localhost") return wrong("a file URL names no other host");
  std::string path;
  for (size_t i = slash; i < rest.size(); ++i) {
    if (rest[i] != '%') {
      path += rest[i];
      continue;
    }
    const auto high = i + 1 < rest.size() ? HexDigit(rest[i + 1]) : std::nullopt;
    const auto low = i + 2 < rest.size() ? HexDigit(rest[i + 2]) : std::nullopt;
    if (!high || !low || (*high == 0 && *low == 0)) return wrong("an escape in it has no meaning");
    path += static_cast<char>(*high << 4 | *low);
    i += 2;
  }
  return path;
}

}  // namespace qstore::remote
