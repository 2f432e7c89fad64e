// SPDX-License-Identifier: Apache-2.0
#include "remote/http_head.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace qstore::remote {
namespace {

constexpr size_t kMostReason = 64;

std::string_view Trimmed(std::string_view text) {
  constexpr char kSpace[] = " \t\r\n";
  const size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// For messages: what a server says of itself is anybody's.
std::string ReasonOf(std::string_view status_line) {
  const size_t code = std::min(status_line.find(' '), status_line.size());
  const size_t reason = std::min(status_line.find(' ', code + 1), status_line.size());
  std::string text(Trimmed(status_line.substr(reason)).substr(0, kMostReason));
  for (char& c : text) c = c >= 0x20 && c < 0x7f ? c : '?';
  return text;
}

// The place of a field of that name; null for those nobody asks for.
std::string* FieldOf(HttpHead* head, std::string_view name) {
  const std::pair<std::string_view, std::string*> fields[] = {
      {"content-encoding", &head->content_encoding},
      {"content-range", &head->content_range},
      {"etag", &head->etag},
      {"last-modified", &head->last_modified},
      {"location", &head->location},
      {"retry-after", &head->retry_after},
  };
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (const auto& [known, field] : fields) {
    if (std::equal(known.begin(), known.end(), name.begin(), name.end(), same)) return field;
  }
  return nullptr;
}

}  // namespace

void HttpHead::TakeLine(std::string_view line) {
  if (line.starts_with("HTTP/")) {
    *this = {};
    reason = ReasonOf(line);
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string* const field = FieldOf(this, line.substr(0, colon));
  if (field != nullptr && field->empty()) *field = Trimmed(line.substr(colon + 1));
}

}  // namespace qstore::remote
