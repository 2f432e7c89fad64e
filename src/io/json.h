// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "qstore/status.h"

namespace qstore::io {

/// One step of reading a JSON text.
struct JsonEvent {
  enum class Kind : uint8_t {
    kNull,
    kBool,
    kUnsigned,  ///< An integer from 0 to 2^64 - 1, written without fraction, exponent or sign.
    kNumber,    ///< Every other number.
    kString,
    kKey,
    kBeginObject,
    kEndObject,
    kBeginArray,
    kEndArray,
  };
  Kind kind;
  uint64_t number = 0;         ///< Of kUnsigned; 0 or 1 for kBool.
  std::string_view text = {};  ///< Of kString and kKey, unescaped; valid during the call only.
};

class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  /// An error ends the reading and is what ParseJson returns.
  virtual Status OnEvent(const JsonEvent& event) = 0;
};

/// Nesting beyond this is refused.
inline constexpr unsigned kMaxJsonDepth = 127;

/// Reads one JSON text (RFC 8259) and hands its events to `handler` in order. Refused, as by the
/// parser of the reference reader of safetensors: a byte order mark, bytes that are no UTF-8, lone
/// surrogates, numbers beyond the range of a double, nesting beyond kMaxJsonDepth, anything but
/// white space around the value. Duplicate keys are the handler's business.
/// Errors: kCorrupt with the byte offset, or the handler's.
Status ParseJson(std::string_view text, JsonHandler* handler);

/// A JSON object whose members keep their order, for the small configs that are rewritten.
class JsonDocument {
 public:
  /// Errors: kCorrupt, when `text` is no JSON object by the rules of ParseJson.
  static Result<JsonDocument> Parse(std::string_view text);
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

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
  std::string Dump() const;

 private:
  struct Tree;
  explicit JsonDocument(std::unique_ptr<Tree> tree);
  std::unique_ptr<Tree> tree_;
};

/// `text` as a JSON string with its quotes; only what must be escaped is. REQUIRES: valid UTF-8.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace qstore::io
