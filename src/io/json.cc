// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"

namespace qstore::io {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

class SaxAdapter final : public nlohmann::json_sax<Json> {
 public:
  explicit SaxAdapter(JsonHandler* handler) : handler_(handler) {}
  const Status& status() const { return status_; }

  bool null() override { return Send({JsonEvent::Kind::kNull}); }
  bool boolean(bool value) override { return Send({JsonEvent::Kind::kBool, value}); }
  bool number_integer(number_integer_t) override { return Send({JsonEvent::Kind::kNumber}); }
  bool number_unsigned(number_unsigned_t value) override {
    return Send({JsonEvent::Kind::kUnsigned, value});
  }
  bool number_float(number_float_t, const string_t&) override {
    return Send({JsonEvent::Kind::kNumber});
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

// Takes any text; what it is kept for is the checks of ParseJson.
class IgnoringHandler final : public JsonHandler {
 public:
  Status OnEvent(const JsonEvent&) override { return {}; }
};

size_t ReplaceStringsBelow(OrderedJson& node, const std::string& key, std::string_view value) {
  size_t count = 0;
  for (auto member = node.begin(); member != node.end(); ++member) {
    if (node.is_object() && member.key() == key && (member->is_string() || member->is_null())) {
      *member = value;
      ++count;
    } else if (member->is_structured()) {
      count += ReplaceStringsBelow(*member, key, value);
    }
  }
  return count;
}

}  // namespace

struct JsonDocument::Tree {
  OrderedJson root;
};

JsonDocument::JsonDocument(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

Result<JsonDocument> JsonDocument::Parse(std::string_view text) {
  IgnoringHandler ignore;
  QSTORE_TRY(ParseJson(text, &ignore));
  auto tree = std::make_unique<Tree>();
  tree->root = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!tree->root.is_object()) return Corrupt("not a JSON object");
  return JsonDocument(std::move(tree));
}

bool JsonDocument::Has(std::string_view key) const {
  const auto member = tree_->root.find(std::string(key));
  return member != tree_->root.end() && !member->is_null();
}

std::optional<std::string> JsonDocument::GetString(std::string_view key) const {
  const auto member = tree_->root.find(std::string(key));
  if (member == tree_->root.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

void JsonDocument::Set(std::string_view key, std::string_view json) {
  const std::string name(key);
  auto value = OrderedJson::parse(json, nullptr, /*allow_exceptions=*/false);
  if (tree_->root.contains(name)) {
    tree_->root[name] = std::move(value);
    return;
  }
  std::vector<std::string> names;
  for (const auto& [existing, ignored] : tree_->root.items()) names.push_back(existing);
  const bool sorted = std::is_sorted(names.begin(), names.end());
  OrderedJson root = OrderedJson::object();
  for (const auto& [existing, kept] : tree_->root.items()) {
    if (sorted && existing > name && !root.contains(name)) root[name] = value;
    root[existing] = kept;
  }
  if (!root.contains(name)) root[name] = value;
  tree_->root = std::move(root);
}

size_t JsonDocument::ReplaceStrings(std::string_view key, std::string_view value) {
  return ReplaceStringsBelow(tree_->root, std::string(key), value);
}

std::string JsonDocument::Dump() const {
  return tree_->root.dump(2, ' ', /*ensure_ascii=*/true) + "\n";
}

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

}  // namespace qstore::io
