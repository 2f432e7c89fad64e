// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_plain.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace qstore::io {
namespace {

// Reads what is plain; each call returns false where that is not what comes next.
class PlainText {
 public:
  explicit PlainText(std::string_view text) : text_(text) {}

  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }

  bool Char(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool String(std::string_view* out) {
    if (!Char('"')) return false;
    const size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c < ' ' || c == '\\' || c >= 0x7f) return false;
    }
    if (at_ == text_.size()) return false;
    *out = text_.substr(begin, at_++ - begin);
    return true;
  }

  bool Key(std::string_view name) {
    std::string_view key;
    return String(&key) && key == name && Char(':');
  }

  bool Number(uint64_t* out) {
    constexpr size_t kMostDigits = 19;  // Which 64 bits hold.
    SkipSpace();
    const size_t begin = at_;
    uint64_t number = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (at_ - begin == kMostDigits) return false;
      number = 10 * number + static_cast<uint64_t>(text_[at_] - '0');
    }
    *out = number;
    const size_t digits = at_ - begin;
    return digits == 1 || (digits > 1 && text_[begin] != '0');
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

bool ReadShape(size_t max_rank, PlainText* text, std::vector<uint64_t>* shape) {
  shape->clear();
  if (!text->Char('[')) return false;
  if (text->Char(']')) return true;
  do {
    if (shape->size() == max_rank || !text->Number(&shape->emplace_back())) return false;
  } while (text->Char(','));
  return text->Char(']');
}

// Behind the name.
bool ReadEntry(size_t max_rank, PlainText* text, SafetensorsTensor* entry) {
  std::string_view dtype;
  if (!text->Char('{') || !text->Key("dtype") || !text->String(&dtype)) return false;
  const auto known = DTypeFromName(dtype);
  if (!known || DTypeBlock(*known) != 1) return false;
  entry->dtype = *known;
  return text->Char(',') && text->Key("shape") && ReadShape(max_rank, text, &entry->shape) &&
         text->Char(',') && text->Key("data_offsets") && text->Char('[') &&
         text->Number(&entry->begin) && text->Char(',') && text->Number(&entry->end) &&
         text->Char(']') && text->Char('}');
}

bool ReadMetadata(PlainText* text, SafetensorsMetadata* metadata) {
  if (!text->Char('{')) return false;
  if (text->Char('}')) return true;
  do {
    std::string_view key;
    std::string_view value;
    if (!text->String(&key) || !text->Char(':') || !text->String(&value)) return false;
    if (metadata != nullptr) metadata->emplace_back(key, value);
  } while (text->Char(','));
  return text->Char('}');
}

}  // namespace

Result<bool> ReadPlainSafetensors(std::string_view json, size_t max_rank,
                                  const SafetensorsEntryTaker& take,
                                  SafetensorsMetadata* metadata) {
  PlainText text(json);
  if (!text.Char('{')) return false;
  if (text.Char('}')) return text.AtEnd();
  SafetensorsTensor entry;
  bool has_metadata = false;
  do {
    std::string_view name;
    if (!text.String(&name) || !text.Char(':')) return false;
    if (name == "__metadata__") {
      if (std::exchange(has_metadata, true) || !ReadMetadata(&text, metadata)) return false;
      continue;
    }
    entry.name = name;
    if (!ReadEntry(max_rank, &text, &entry)) return false;
    QSTORE_TRY(take(&entry));
  } while (text.Char(','));
  return text.Char('}') && text.AtEnd();
}

}  // namespace qstore::io
