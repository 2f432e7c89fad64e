// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <nlohmann/json.hpp>

#include "base/status_macros.h"

namespace qstore::io {
namespace {

using Json = nlohmann::json;

class SaxAdapter final : public nlohmann::json_sax<Json> {
 public:
  explicit SaxAdapter(JsonHandler* handler) : handler_(handler) {}
  const Status& status() const { return status_; }

  bool null() override { return Send({JsonEvent::Kind::kNull}); }
  bool boolean(bool value) override { return Send({JsonEvent::Kind::kBool, value}); }
  bool number_integer(number_integer_t value) override {
    return Send({JsonEvent::Kind::kNumber, 0, std::to_string(value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Send({JsonEvent::Kind::kUnsigned, value});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return Send({JsonEvent::Kind::kNumber, 0, JsonNumber(value)});
  }
  bool string(string_t& value) override { return Send({JsonEvent::Kind::kString, 0, value}); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& value) override { return Send({JsonEvent::Kind::kKey, 0, value}); }
  bool start_object(std::size_t) override { return Enter(JsonEvent::Kind::kBeginObject); }
  bool start_array(std::size_t) override { return Enter(JsonEvent::Kind::kBeginArray); }
  bool end_object() override { return Leave(JsonEvent::Kind::kEndObject); }
  bool end_array() override { return Leave(JsonEvent::Kind::kEndArray); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    status_ = Corrupt("not valid JSON at byte " + std::to_string(position));
    return false;
  }

 private:
  bool Send(const JsonEvent& event) {
    status_ = handler_->OnEvent(event);
    return status_.ok();
  }
  bool Enter(JsonEvent::Kind kind) {
    if (++depth_ > kMaxJsonDepth) {
      status_ = Corrupt("JSON is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
      return false;
    }
    return Send({kind});
  }
  bool Leave(JsonEvent::Kind kind) {
    --depth_;
    return Send({kind});
  }

  JsonHandler* handler_;
  Status status_;
  unsigned depth_ = 0;
};

}  // namespace

Status ParseJson(std::string_view text, JsonHandler* handler) {
  // The parser would skip a byte order mark and take a zero byte for the end of the text.
  if (text.substr(0, 3) == "\xEF\xBB\xBF") return Corrupt("JSON begins with a byte order mark");
  if (const size_t at = text.find('\0'); at != std::string_view::npos) {
    return Corrupt("not valid JSON at byte " + std::to_string(at) + ": a zero byte");
  }
  SaxAdapter adapter(handler);
  if (Json::sax_parse(text.data(), text.data() + text.size(), &adapter)) return {};
  if (adapter.status().ok()) return Corrupt("not valid JSON");
  return adapter.status();
}

void AppendJsonString(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const size_t short_form = std::string_view("\"\\\b\f\n\r\t").find(c);
    if (short_form != std::string_view::npos) {
      out->push_back('\\');
      out->push_back("\"\\bfnrt"[short_form]);
    } else if (byte < 0x20) {
      *out += "\\u00";
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

// Values of the library that hold no others need no memory to be destroyed; those that do end the
// process where there is none.
void AppendAnyText(std::string_view text, bool ascii, std::string* out) {
  *out += Json(text).dump(-1, ' ', ascii, Json::error_handler_t::replace);
}

std::string JsonNumber(double value) { return Json(value).dump(); }

}  // namespace qstore::io
