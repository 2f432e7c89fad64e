// SPDX-License-Identifier: Apache-2.0
#include "remote/http_options.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

namespace qstore::remote {
namespace {

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x80 && (std::isalnum(byte) != 0 ||
                           std::string_view("!#$%&'*+.^_`|~-").find(c) != std::string_view::npos);
  });
}

bool IsValue(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool IsOwn(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name == "range" || name == "accept-encoding" || name == "host";
}

}  // namespace

Status CheckOptions(const HttpOptions& options) {
  if (!(options.timeout > 0 && options.timeout < 1e6)) {
    return InvalidArgument("timeout must be seconds, not " + std::to_string(options.timeout));
  }
  if (!(options.least_rate >= 0 && std::isfinite(options.least_rate))) {
    return InvalidArgument("least_rate must be bytes a second, not " +
                           std::to_string(options.least_rate));
  }
  if (!(options.deadline >= 0)) {
    return InvalidArgument("deadline must be seconds, not " + std::to_string(options.deadline));
  }
  for (const auto& [name, value] : options.headers) {
    if (IsName(name) && IsValue(value)) continue;
    return InvalidArgument("headers must map names to values, one line each");
  }
  return {};
}

std::vector<std::string> FieldsOf(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::vector<std::string> fields;
  for (const auto& [name, value] : headers) {
    // So libcurl is told of an empty one.
    if (!IsOwn(name)) fields.push_back(value.empty() ? name + ";" : name + ": " + value);
  }
  return fields;
}

}  // namespace qstore::remote
