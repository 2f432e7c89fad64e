// SPDX-License-Identifier: Apache-2.0
#include "remote/http_answer.h"

#include <charconv>
#include <system_error>

namespace qstore::remote {
namespace {

// Takes a number off the front. None when there is none, or one that is too long.
std::optional<uint64_t> TakeNumber(std::string_view* text) {
  constexpr size_t kMostDigits = 19;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  const auto digits = static_cast<size_t>(end - text->data());
  if (error != std::errc() || digits > kMostDigits) return std::nullopt;
  text->remove_prefix(digits);
  return number;
}

bool TakeWord(std::string_view word, std::string_view* text) {
  if (!text->starts_with(word)) return false;
  text->remove_prefix(word.size());
  return true;
}

}  // namespace

bool IsRedirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool IsPassing(long status) {
  return status == 408 || status == 425 || status == 429 || status == 500 ||
         (status >= 502 && status <= 504);
}

bool IsExpired(long status) {
  return status == 400 || status == 401 || status == 403 || status == 404 || status == 410;
}

std::string Answer(const HttpHead& head) {
  return "the server answered " + std::to_string(head.status) + " " + head.reason;
}

double RetryAfter(const HttpHead& head) {
  std::string_view text = head.retry_after;
  const auto seconds = TakeNumber(&text);
  return seconds && text.empty() ? static_cast<double>(*seconds) : 0;
}

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  ContentRange range;
  if (!TakeWord("bytes ", &text)) return std::nullopt;
  if (!TakeWord("*", &text)) {
    const auto first = TakeNumber(&text);
    if (!first || !TakeWord("-", &text)) return std::nullopt;
    const auto last = TakeNumber(&text);
    if (!last) return std::nullopt;
    range.bytes = {*first, *last};
  }
  if (!TakeWord("/", &text)) return std::nullopt;
  const auto size = TakeNumber(&text);
  if (!size || !text.empty()) return std::nullopt;
  range.size = *size;
  return range;
}

}  // namespace qstore::remote
