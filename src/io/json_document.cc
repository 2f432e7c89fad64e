// SPDX-License-Identifier: Apache-2.0
#include "io/json_document.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace qstore::io {
namespace {

size_t ReplaceStringsBelow(JsonValue* value, std::string_view key, std::string_view text) {
  size_t count = 0;
  for (JsonMember& member : value->members()) {
    const JsonValue::Kind kind = member.value.kind();
    const bool is_text = kind == JsonValue::Kind::kString || kind == JsonValue::Kind::kNull;
    if (value->kind() == JsonValue::Kind::kObject && member.name == key && is_text) {
      member.value = text;
      ++count;
    } else {
      count += ReplaceStringsBelow(&member.value, key, text);
    }
  }
  return count;
}

}  // namespace

Result<JsonDocument> JsonDocument::Parse(std::string_view text) {
  QSTORE_ASSIGN(JsonValue root, JsonValue::Parse(text));
  if (root.kind() != JsonValue::Kind::kObject) return Corrupt("not a JSON object");
  return JsonDocument(std::move(root));
}

bool JsonDocument::Has(std::string_view key) const {
  const JsonValue* member = root_.Find(key);
  return member != nullptr && member->kind() != JsonValue::Kind::kNull;
}

std::optional<std::string> JsonDocument::GetString(std::string_view key) const {
  const JsonValue* member = root_.Find(key);
  if (member == nullptr || member->kind() != JsonValue::Kind::kString) return std::nullopt;
  return member->text();
}

void JsonDocument::Set(std::string_view key, std::string_view json) {
  auto parsed = JsonValue::Parse(json);
  JsonValue value = parsed.ok() ? std::move(*parsed) : JsonValue();
  if (JsonValue* known = root_.Find(key)) {
    *known = std::move(value);
    return;
  }
  auto& members = root_.members();
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  auto place = members.end();
  if (std::is_sorted(members.begin(), members.end(), by_name)) {
    place = std::find_if(members.begin(), members.end(),
                         [&](const JsonMember& member) { return member.name > key; });
  }
  members.insert(place, {std::string(key), std::move(value)});
}

size_t JsonDocument::ReplaceStrings(std::string_view key, std::string_view value) {
  return ReplaceStringsBelow(&root_, key, value);
}

}  // namespace qstore::io
