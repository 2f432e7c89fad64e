// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qstore::cli {

/// Writes a JSON document from its beginning to its end, with two spaces of indentation. Nothing is
/// kept but the text: a tree of values would need memory to be destroyed.
class JsonWriter {
 public:
  /// Of the whole document, of a member when `name` is given, or of an array's next element.
  void BeginObject(std::string_view name = {}) { Begin('{', '}', name); }
  void BeginArray(std::string_view name = {}) { Begin('[', ']', name); }
  /// Ends the object or array begun last.
  void End();

  /// A member of an object. A `value` is text, a number, a truth value, null or a vector of these;
  /// bytes that are no UTF-8 become U+FFFD, numbers that are not finite null.
  template <class T>
  void Add(std::string_view name, const T& value) {
    BeginValue(name);
    Put(value);
  }
  /// An element of an array.
  template <class T>
  void Append(const T& value) {
    BeginValue({});
    Put(value);
  }

  const std::string& text() const { return text_; }

 private:
  void Begin(char opening, char closing, std::string_view name);
  void BeginValue(std::string_view name);
  void NewLine();
  void Put(bool value) { text_ += value ? "true" : "false"; }
  void Put(double value);
  void Put(std::nullptr_t) { text_ += "null"; }
  void Put(std::string_view value);
  void Put(const char* value) { Put(std::string_view(value)); }
  template <std::integral T>
  void Put(T value) {
    text_ += std::to_string(value);
  }
  template <class T>
  void Put(const std::vector<T>& values) {
    OpenBracket('[', ']');
    for (const T& value : values) Append(value);
    End();
  }
  void OpenBracket(char opening, char closing);

  std::string text_;
  std::string closing_;   // The brackets that are still to come, innermost last.
  bool is_empty_ = true;  // Nothing is yet in the innermost.
};

}  // namespace qstore::cli
