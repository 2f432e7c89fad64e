// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_index.h"

#include <algorithm>

#include "base/status_macros.h"
#include "io/json.h"

namespace qstore::io {
namespace {

using Kind = JsonEvent::Kind;

class IndexHandler final : public JsonHandler {
 public:
  bool complete() const { return complete_; }
  SafetensorsIndex TakeIndex() { return std::move(index_); }

  Status OnEvent(const JsonEvent& event) override {
    const bool opens = event.kind == Kind::kBeginObject || event.kind == Kind::kBeginArray;
    const bool closes = event.kind == Kind::kEndObject || event.kind == Kind::kEndArray;
    if (closes) --depth_;
    if (depth_ == 0 && !closes && event.kind != Kind::kBeginObject) {
      return Corrupt("index is not a JSON object");
    }
    if (depth_ == 1 && event.kind == Kind::kKey) {
      in_map_ = event.text == "weight_map";
      if (in_map_) index_.weight_map.clear();  // Of several, the last counts.
    } else if (in_map_ && depth_ == 1) {
      if (!opens && !closes) return Corrupt("weight_map is not an object");
      if (event.kind == Kind::kBeginArray) return Corrupt("weight_map is not an object");
      complete_ = true;
      if (closes) in_map_ = false;
    } else if (in_map_ && event.kind == Kind::kKey) {
      index_.weight_map.emplace_back(event.text, std::string());
    } else if (in_map_) {
      if (event.kind != Kind::kString) return Corrupt("weight_map holds something else than names");
      index_.weight_map.back().second = event.text;
    }
    if (opens) ++depth_;
    return {};
  }

 private:
  SafetensorsIndex index_;
  unsigned depth_ = 0;
  bool in_map_ = false;
  bool complete_ = false;
};

// Takes `separator` and decimal digits from the end.
bool DropNumber(std::string_view separator, std::string_view* name) {
  const size_t digits = name->find_last_not_of("0123456789") + 1;
  std::string_view rest = name->substr(0, digits);
  if (digits == name->size() || !rest.ends_with(separator)) return false;
  rest.remove_suffix(separator.size());
  *name = rest;
  return true;
}

}  // namespace

bool IsSafetensorsIndexName(std::string_view name) {
  return name.size() > 5 && name.substr(name.size() - 5) == ".json" &&
         name.find(".safetensors.index.") != std::string_view::npos;
}

std::string WeightSetOf(std::string_view name) {
  constexpr std::string_view kExtension = ".safetensors";
  if (IsSafetensorsIndexName(name)) {
    const size_t at = name.find(".safetensors.index.");
    const size_t variant = at + kExtension.size() + std::string_view(".index").size();
    // ".json" or ".fp16.json".
    return std::string(name.substr(0, at)) +
           std::string(name.substr(variant, name.size() - 5 - variant));
  }
  if (!name.ends_with(kExtension)) return {};
  name.remove_suffix(kExtension.size());
  std::string_view set = name;
  return std::string(DropNumber("-of-", &set) && DropNumber("-", &set) ? set : name);
}

Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text) {
  IndexHandler handler;
  QSTORE_TRY(ParseJson(text, &handler));
  if (!handler.complete()) return Corrupt("index has no weight_map");
  return handler.TakeIndex();
}

std::string WriteSafetensorsIndex(SafetensorsIndex index, uint64_t total_size) {
  // Of several entries with one name the last one counts: it stays behind the others.
  std::stable_sort(index.weight_map.begin(), index.weight_map.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total_size) +
                     "\n  },\n  \"weight_map\": {";
  const char* separator = "\n    ";
  for (const auto& [tensor, file] : index.weight_map) {
    text += separator;
    AppendJsonString(tensor, &text);
    text += ": ";
    AppendJsonString(file, &text);
    separator = ",\n    ";
  }
  text += index.weight_map.empty() ? "}\n}\n" : "\n  }\n}\n";
  return text;
}

}  // namespace qstore::io
