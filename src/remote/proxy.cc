// SPDX-License-Identifier: Apache-2.0
#include "remote/proxy.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>

namespace qstore::remote {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string Environment(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const bool is_cgi = name == "http_proxy" && std::getenv("REQUEST_METHOD") != nullptr;
  for (const std::string& each : {name, upper}) {
    const char* value = std::getenv(each.c_str());
    if (value != nullptr && *value != '\0' && !(is_cgi && each == upper)) return value;
  }
  return "";
}

// Whether one name of the list stands for the host.
bool IsNamed(std::string name, const std::string& host, unsigned port) {
  const std::string with_port = ":" + std::to_string(port);
  const bool is_bare6 = std::count(name.begin(), name.end(), ':') > 1 && name.front() != '[';
  if (!is_bare6 && name.find(':') != std::string::npos && name.back() != ']') {
    if (!name.ends_with(with_port)) return false;
    name.resize(name.size() - with_port.size());
  }
  if (name.size() > 1 && name.front() == '[' && name.back() == ']') {
    name = name.substr(1, name.size() - 2);
  }
  name.erase(0, name.find_first_not_of('.'));
  if (name.empty() || !host.ends_with(name)) return false;
  return host.size() == name.size() || host[host.size() - name.size() - 1] == '.';
}

}  // namespace

bool IsNamedBy(const std::string& list, const std::string& host, unsigned port) {
  constexpr char kBetween[] = ", \t";
  for (size_t at = list.find_first_not_of(kBetween); at != std::string::npos;) {
    const size_t end = std::min(list.find_first_of(kBetween, at), list.size());
    const std::string name = Lower(list.substr(at, end - at));
    if (name == "*" || IsNamed(name, host, port)) return true;
    at = list.find_first_not_of(kBetween, end);
  }
  return false;
}

std::string ProxyFor(const HttpUrl& url) {
  if (IsNamedBy(Environment("no_proxy"), url.host, url.port)) return "";
  const std::string proxy = Environment(url.scheme + "_proxy");
  return proxy.empty() ? Environment("all_proxy") : proxy;
}

}  // namespace qstore::remote
