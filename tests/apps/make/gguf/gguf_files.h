// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Small GGUF files.

namespace qstore::make::testing {

template <class T>
std::string AsBytes(T value) {
  std::string bytes;
  for (size_t b = 0; b < sizeof(T); ++b) bytes += static_cast<char>(value >> (8 * b));
  return bytes;
}

inline std::string AsText(std::string_view text) {
  return AsBytes(uint64_t{text.size()}).append(text);
}

inline std::string FloatBytes(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) bytes += AsBytes(std::bit_cast<uint32_t>(value));
  return bytes;
}

/// A file put together of metadata and tensors.
class GgufFile {
 public:
  GgufFile& Number(std::string_view key, uint32_t value) { return Value(key, 4, AsBytes(value)); }
  GgufFile& Text(std::string_view key, std::string_view value) {
    return Value(key, 8, AsText(value));
  }
  GgufFile& Texts(std::string_view key, std::string_view value) {
    return Value(key, 9, AsBytes(uint32_t{8}) + AsBytes(uint64_t{1}) + AsText(value));
  }
  GgufFile& Value(std::string_view key, uint32_t type, const std::string& bytes) {
    values_ += AsText(key) + AsBytes(type) + bytes;
    ++value_count_;
    return *this;
  }
  /// `type` is ggml's number; 0 is F32. `shape` has the innermost dimension first.
  GgufFile& Tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& shape,
                   const std::string& content) {
    tensors_ += AsText(name) + AsBytes(static_cast<uint32_t>(shape.size()));
    for (const uint64_t side : shape) tensors_ += AsBytes(side);
    tensors_ += AsBytes(type) + AsBytes(uint64_t{data_.size()});
    data_ += content;
    data_.resize((data_.size() + 31) / 32 * 32);
    ++tensor_count_;
    return *this;
  }
  std::string bytes() const {
    std::string file = "GGUF" + AsBytes(uint32_t{3}) + AsBytes(tensor_count_) +
                       AsBytes(value_count_) + values_ + tensors_;
    file.resize((file.size() + 31) / 32 * 32);
    return file + data_;
  }

 private:
  std::string values_;
  std::string tensors_;
  std::string data_;
  uint64_t value_count_ = 0;
  uint64_t tensor_count_ = 0;
};

}  // namespace qstore::make::testing
