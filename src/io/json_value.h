// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

struct JsonMember;

/// A JSON value in memory. To destroy one takes no memory, unlike those of the library behind
/// ParseJson, which end the process where there is none.
class JsonValue {
 public:
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  JsonValue();                          ///< null
  JsonValue(bool value);                // NOLINT: implicit, so that lists of them are short
  JsonValue(double value);              // NOLINT: a number that is not finite becomes null
  JsonValue(std::string_view value);    // NOLINT
  JsonValue(const std::string& value);  // NOLINT
  JsonValue(const char* value);         // NOLINT
  template <std::integral T>
  JsonValue(T value) : JsonValue(Kind::kNumber, std::to_string(value)) {}  // NOLINT
  /// `text` is how JSON spells it.
  static JsonValue Number(std::string_view text);
  static JsonValue Array();
  static JsonValue Object(std::initializer_list<JsonMember> members);
  /// An array of these.
  template <class T>
  static JsonValue ArrayOf(const std::vector<T>& values);

  /// Reads a text by the rules of ParseJson. Of equal keys the last value counts, in the first
  /// place. Errors: kCorrupt.
  static Result<JsonValue> Parse(std::string_view text);

  Kind kind() const { return kind_; }
  /// Of a string: itself. Of a number or a truth value: as JSON spells it.
  const std::string& text() const { return text_; }
  /// Of an object, or the values of an array, which have no names.
  const std::vector<JsonMember>& members() const { return members_; }
  std::vector<JsonMember>& members() { return members_; }
  /// An object's member; null when there is none of that name, or this is no object.
  const JsonValue* Find(std::string_view name) const;
  JsonValue* Find(std::string_view name);

  /// Appends to an array.
  void Append(JsonValue value);
  /// Appends to an object. REQUIRES: a name it does not have.
  void Add(std::string_view name, JsonValue value);

  /// With two spaces of indentation, as Python's json writes it; what is no UTF-8 becomes U+FFFD.
  /// With `ascii` every other character is escaped. No line end behind it.
  std::string Dump(bool ascii = false) const;

 private:
  JsonValue(Kind kind, std::string text);
  void DumpTo(bool ascii, size_t depth, std::string* out) const;

  Kind kind_ = Kind::kNull;
  std::string text_;
  std::vector<JsonMember> members_;
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

template <class T>
JsonValue JsonValue::ArrayOf(const std::vector<T>& values) {
  JsonValue array = Array();
  for (const T& value : values) array.Append(value);
  return array;
}

}  // namespace qstore::io
