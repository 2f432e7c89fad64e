// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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
    kNumber,    ///< Every other number; its text is as Python's json would write it.
    kString,
    kKey,
    kBeginObject,
    kEndObject,
    kBeginArray,
    kEndArray,
  };
  Kind kind;
  uint64_t number = 0;         ///< Of kUnsigned; 0 or 1 for kBool.
  std::string_view text = {};  ///< Of strings and keys, unescaped; valid during the call only.
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

/// `text` as a JSON string with its quotes; only what must be escaped is. REQUIRES: valid UTF-8.
void AppendJsonString(std::string_view text, std::string* out);
/// The same for any bytes: what is no UTF-8 becomes U+FFFD. With `ascii` only ASCII comes out.
void AppendAnyText(std::string_view text, bool ascii, std::string* out);
/// A finite number as Python's json writes it: the shortest that means the same double.
std::string JsonNumber(double value);

}  // namespace qstore::io
