// SPDX-License-Identifier: Apache-2.0
#include "format/names.h"

#include <algorithm>
#include <string>

#include "format/limits.h"

namespace qstore::format {
namespace {

bool IsVariantNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '+' || c == '-';
}

unsigned Rank(char c) { return c == '/' ? 0U : static_cast<unsigned char>(c); }

const char* BrokenPathRule(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > kMaxPathBytes) return "is too long";
  if (path.front() == '/') return "is absolute";
  for (const char c : path) {
    if (c == '\\') return "holds a backslash";
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component.empty()) return "has an empty component";
    if (component == "." || component == "..") return "has a component . or ..";
    begin = end + 1;
  }
  return nullptr;
}

}  // namespace

Status CheckVariantName(std::string_view name) {
  if (name.empty() || name.size() > kMaxVariantNameBytes) {
    return InvalidArgument("a variant's name has 1 to 255 characters");
  }
  if (name.front() == '.' || name.front() == '-') {
    return InvalidArgument("variant name '" + std::string(name) + "' begins with '.' or '-'");
  }
  if (!std::all_of(name.begin(), name.end(), IsVariantNameByte)) {
    return InvalidArgument("variant name '" + std::string(name) +
                           "' has a character other than A-Z a-z 0-9 . _ + -");
  }
  return {};
}

Status CheckPath(std::string_view path) {
  const char* rule = BrokenPathRule(path);
  if (rule == nullptr) return {};
  return InvalidArgument("path '" + std::string(path.substr(0, 200)) + "' " + rule);
}

bool PathLess(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](char x, char y) { return Rank(x) < Rank(y); });
}

bool LiesBelow(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path[folder.size()] == '/' &&
         path.substr(0, folder.size()) == folder;
}

}  // namespace qstore::format
