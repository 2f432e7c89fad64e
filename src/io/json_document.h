// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/json_value.h"
#include "qstore/status.h"

namespace qstore::io {

/// A JSON object whose members keep their order, for the small configs that are rewritten.
class JsonDocument {
 public:
  /// Errors: kCorrupt, when `text` is no JSON object by the rules of ParseJson.
  static Result<JsonDocument> Parse(std::string_view text);

  /// Whether there is such an outermost member, other than null.
  bool Has(std::string_view key) const;
  /// The value of an outermost member, when that is a string.
  std::optional<std::string> GetString(std::string_view key) const;
  /// Sets an outermost member to the value that `json` spells; a new one takes its place in the
  /// alphabet if the members are sorted, else the last place. REQUIRES: valid JSON.
  void Set(std::string_view key, std::string_view json);
  /// Replaces the value of every member `key`, at any depth, that is a string or null. Returns how
  /// many there were.
  size_t ReplaceStrings(std::string_view key, std::string_view value);
  /// The text as Python's json writes it: two spaces of indentation, ASCII, a line end behind it.
  std::string Dump() const { return root_.Dump(/*ascii=*/true) + "\n"; }

 private:
  explicit JsonDocument(JsonValue root) : root_(std::move(root)) {}
  JsonValue root_;
};

}  // namespace qstore::io
