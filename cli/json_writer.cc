// SPDX-License-Identifier: Apache-2.0
#include "json_writer.h"

#include <nlohmann/json.hpp>

namespace qstore::cli {
namespace {

// Values of the library that hold no others need no memory to be destroyed.
using Scalar = nlohmann::json;

}  // namespace

void JsonWriter::Begin(char opening, char closing, std::string_view name) {
  BeginValue(name);
  OpenBracket(opening, closing);
}

void JsonWriter::OpenBracket(char opening, char closing) {
  text_.push_back(opening);
  closing_.push_back(closing);
  is_empty_ = true;
}

void JsonWriter::End() {
  const char closing = closing_.back();
  closing_.pop_back();
  if (!is_empty_) NewLine();
  text_.push_back(closing);
  is_empty_ = false;
}

void JsonWriter::BeginValue(std::string_view name) {
  if (closing_.empty()) return;
  if (!is_empty_) text_.push_back(',');
  is_empty_ = false;
  NewLine();
  if (closing_.back() == ']') return;
  Put(name);
  text_ += ": ";
}

void JsonWriter::NewLine() {
  text_.push_back('\n');
  text_.append(2 * closing_.size(), ' ');
}

void JsonWriter::Put(double value) { text_ += Scalar(value).dump(); }

void JsonWriter::Put(std::string_view value) {
  text_ += Scalar(value).dump(-1, ' ', false, Scalar::error_handler_t::replace);
}

}  // namespace qstore::cli
