// SPDX-License-Identifier: Apache-2.0
#include "container/gguf/gguf_split.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <system_error>

namespace qstore::container {
namespace {

constexpr std::string_view kOf = "-of-";
constexpr size_t kDigits = 5;
constexpr size_t kSuffix = 1 + kDigits + kOf.size() + kDigits;  // "-00001-of-00003"

std::optional<uint32_t> NumberOf(std::string_view digits) {
  uint32_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

ModelPart GgufPartOf(std::string_view path) {
  const ModelPart whole{std::string(path), 0, 0};
  if (path.size() <= kSuffix) return whole;
  const std::string_view model = path.substr(0, path.size() - kSuffix);
  const std::string_view suffix = path.substr(model.size());
  if (model.ends_with('/') || suffix[0] != '-' || suffix.substr(1 + kDigits, kOf.size()) != kOf) {
    return whole;
  }
  const auto number = NumberOf(suffix.substr(1, kDigits));
  const auto count = NumberOf(suffix.substr(kSuffix - kDigits));
  if (!number || !count || *number == 0 || *number > *count) return whole;
  return {std::string(model), *number, *count};
}

std::string GgufPathOf(const ModelPart& part, uint32_t number) {
  if (part.count == 0) return part.model;
  std::array<char, 32> suffix{};
  std::snprintf(suffix.data(), suffix.size(), "-%05u-of-%05u", number, part.count);
  return part.model + suffix.data();
}

}  // namespace qstore::container
