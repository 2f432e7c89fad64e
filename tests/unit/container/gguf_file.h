// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "container/gguf/gguf_head.h"
#include "container/gguf/gguf_types.h"

namespace qstore::testing {

/// Little-endian fields, one after another.
class Fields {
 public:
  template <class T>
  Fields& Put(T value) {
    static_assert(std::is_integral_v<T>);
    for (size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
    }
    return *this;
  }
  Fields& Raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Fields& Text(std::string_view text) { return Put<uint64_t>(text.size()).Raw(text); }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

struct GgufTestTensor {
  std::string name;
  uint32_t type = 0;           ///< Of ggml.
  std::vector<uint64_t> dims;  ///< The innermost first, as the file has them.
  std::string content;
  /// Where it is said to lie; otherwise behind the one before.
  std::optional<uint64_t> offset = std::nullopt;
};

/// Writes GGUF files, wrong ones too.
class GgufFile {
 public:
  using Type = container::GgufType;

  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count;  ///< In place of the right one.
  std::optional<uint64_t> value_count;
  uint64_t alignment = 32;  ///< That tensors are laid out by; see also Align.
  char padding = '\0';
  std::string between;  ///< Added behind every tensor, before it is padded.
  std::vector<GgufTestTensor> tensors;

  GgufFile& Value(std::string_view key, Type type, std::string_view bytes) {
    values_.Text(key).Put(static_cast<uint32_t>(type)).Raw(bytes);
    ++count_;
    return *this;
  }
  GgufFile& U32(std::string_view key, uint32_t value) {
    return Value(key, Type::kU32, Fields().Put(value).bytes());
  }
  GgufFile& Text(std::string_view key, std::string_view text) {
    return Value(key, Type::kString, Fields().Text(text).bytes());
  }
  GgufFile& Texts(std::string_view key, const std::vector<std::string>& texts) {
    Fields array = ArrayOf(Type::kString, texts.size());
    for (const std::string& text : texts) array.Text(text);
    return Value(key, Type::kArray, array.bytes());
  }
  /// Says the alignment, and lays out by it.
  GgufFile& Align(uint32_t to) {
    alignment = to;
    return U32("general.alignment", to);
  }
  GgufFile& Add(GgufTestTensor tensor) {
    tensors.push_back(std::move(tensor));
    return *this;
  }

  static Fields ArrayOf(Type type, uint64_t count) {
    return Fields().Put(static_cast<uint32_t>(type)).Put(count);
  }

  /// Everything before the padding behind the list of tensors.
  std::string Head() const { return Parts().first; }

  std::string Bytes() const {
    auto [head, data] = Parts();
    if (!tensors.empty()) Pad(&head);
    return head + data;
  }

 private:
  void Pad(std::string* bytes) const {
    bytes->resize((bytes->size() + alignment - 1) / alignment * alignment, padding);
  }

  std::pair<std::string, std::string> Parts() const {
    Fields head;
    head.Raw(magic).Put(version);
    head.Put<uint64_t>(tensor_count.value_or(tensors.size()));
    head.Put<uint64_t>(value_count.value_or(count_)).Raw(values_.bytes());
    std::string data;
    for (const GgufTestTensor& tensor : tensors) {
      Pad(&data);
      head.Text(tensor.name).Put(static_cast<uint32_t>(tensor.dims.size()));
      for (const uint64_t dim : tensor.dims) head.Put(dim);
      head.Put(tensor.type).Put<uint64_t>(tensor.offset.value_or(data.size()));
      data += tensor.content + between;
    }
    return {head.bytes(), data};
  }

  Fields values_;
  uint64_t count_ = 0;
};

/// A tensor of `rows` rows of `blocks` blocks of noise.
inline GgufTestTensor BlockTensor(DType dtype, std::string name, uint64_t rows, uint64_t blocks,
                                  uint32_t seed = 1) {
  GgufTestTensor tensor{
      std::move(name), *container::GgmlOfDType(dtype), {blocks * DTypeBlock(dtype), rows}, {}};
  tensor.content.resize(rows * blocks * DTypeBits(dtype) / 8);
  for (char& c : tensor.content) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return tensor;
}

}  // namespace qstore::testing
