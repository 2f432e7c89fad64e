// SPDX-License-Identifier: Apache-2.0
#include "io/json_value.h"

#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "io/json.h"

namespace qstore::io {
namespace {

/// Puts together what ParseJson reads.
class Builder final : public JsonHandler {
 public:
  Status OnEvent(const JsonEvent& event) override {
    switch (event.kind) {
      case JsonEvent::Kind::kNull:
        Put({});
        break;
      case JsonEvent::Kind::kBool:
        Put(event.number != 0);
        break;
      case JsonEvent::Kind::kUnsigned:
        Put(event.number);
        break;
      case JsonEvent::Kind::kNumber:
        Put(JsonValue::Number(event.text));
        break;
      case JsonEvent::Kind::kString:
        Put(event.text);
        break;
      case JsonEvent::Kind::kKey:
        key_ = event.text;
        break;
      case JsonEvent::Kind::kBeginObject:
        open_.push_back(Put(JsonValue::Object({})));
        break;
      case JsonEvent::Kind::kBeginArray:
        open_.push_back(Put(JsonValue::Array()));
        break;
      case JsonEvent::Kind::kEndObject:
      case JsonEvent::Kind::kEndArray:
        open_.pop_back();
        break;
    }
    return {};
  }
  JsonValue TakeRoot() { return std::move(root_); }

 private:
  // Returns: where it is, until the next value is put beside it.
  JsonValue* Put(JsonValue value) {
    JsonValue* place = &root_;
    if (!open_.empty()) {
      JsonValue& outer = *open_.back();
      place = outer.Find(key_);
      if (place == nullptr) {
        const bool is_object = outer.kind() == JsonValue::Kind::kObject;
        outer.members().push_back({is_object ? key_ : std::string(), {}});
        place = &outer.members().back().value;
      }
    }
    *place = std::move(value);
    return place;
  }

  JsonValue root_;
  std::vector<JsonValue*> open_;
  std::string key_;
};

void AppendLine(size_t depth, std::string* out) {
  out->push_back('\n');
  out->append(2 * depth, ' ');
}

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
JsonValue::JsonValue(bool value) : JsonValue(Kind::kBool, value ? "true" : "false") {}
JsonValue::JsonValue(std::string_view value) : JsonValue(Kind::kString, std::string(value)) {}
JsonValue::JsonValue(const std::string& value) : JsonValue(Kind::kString, value) {}
JsonValue::JsonValue(const char* value) : JsonValue(Kind::kString, value) {}
JsonValue::JsonValue(double value) {
  if (std::isfinite(value)) *this = Number(JsonNumber(value));
}

JsonValue JsonValue::Number(std::string_view text) { return {Kind::kNumber, std::string(text)}; }

JsonValue JsonValue::Array() { return {Kind::kArray, {}}; }

JsonValue JsonValue::Object(std::initializer_list<JsonMember> members) {
  JsonValue object(Kind::kObject, {});
  object.members_ = members;
  return object;
}

Result<JsonValue> JsonValue::Parse(std::string_view text) {
  Builder builder;
  QSTORE_TRY(ParseJson(text, &builder));
  return builder.TakeRoot();
}

const JsonValue* JsonValue::Find(std::string_view name) const {
  if (kind_ != Kind::kObject) return nullptr;
  for (const JsonMember& member : members_) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

JsonValue* JsonValue::Find(std::string_view name) {
  return const_cast<JsonValue*>(std::as_const(*this).Find(name));
}

void JsonValue::Append(JsonValue value) { members_.push_back({{}, std::move(value)}); }

void JsonValue::Add(std::string_view name, JsonValue value) {
  members_.push_back({std::string(name), std::move(value)});
}

std::string JsonValue::Dump(bool ascii) const {
  std::string text;
  DumpTo(ascii, 0, &text);
  return text;
}

void JsonValue::DumpTo(bool ascii, size_t depth, std::string* out) const {
  switch (kind_) {
    case Kind::kNull:
      *out += "null";
      return;
    case Kind::kBool:
    case Kind::kNumber:
      *out += text_;
      return;
    case Kind::kString:
      AppendAnyText(text_, ascii, out);
      return;
    case Kind::kArray:
    case Kind::kObject:
      break;
  }
  const bool is_object = kind_ == Kind::kObject;
  out->push_back(is_object ? '{' : '[');
  for (const JsonMember& member : members_) {
    if (&member != &members_.front()) out->push_back(',');
    AppendLine(depth + 1, out);
    if (is_object) {
      AppendAnyText(member.name, ascii, out);
      *out += ": ";
    }
    member.value.DumpTo(ascii, depth + 1, out);
  }
  if (!members_.empty()) AppendLine(depth, out);
  out->push_back(is_object ? '}' : ']');
}

}  // namespace qstore::io
