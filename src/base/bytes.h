// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace qstore::base {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and this code copies words as they are");

template <std::unsigned_integral T>
T LoadLe(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <std::unsigned_integral T>
void StoreLe(void* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

/// Appends little-endian fields to a buffer. On disk: varints are LEB128 of as few bytes as the
/// number takes, at most 10.
class ByteWriter {
 public:
  explicit ByteWriter(std::vector<std::byte>* out) : out_(out) {}

  template <std::unsigned_integral T>
  void Fixed(T value) {
    const size_t at = out_->size();
    out_->resize(at + sizeof(T));
    StoreLe(out_->data() + at, value);
  }
  void Varint(uint64_t value) {
    while (value >= 0x80) {
      out_->push_back(static_cast<std::byte>(value | 0x80));
      value >>= 7;
    }
    out_->push_back(static_cast<std::byte>(value));
  }
  void Bytes(std::span<const std::byte> bytes) {
    out_->insert(out_->end(), bytes.begin(), bytes.end());
  }
  /// A varint length, then the characters.
  void String(std::string_view text) {
    Varint(text.size());
    Bytes(std::as_bytes(std::span(text.data(), text.size())));
  }

 private:
  std::vector<std::byte>* out_;
};

/// A bounds-checked cursor over little-endian fields. After a read past the end, or a varint that
/// is overlong or padded with zeros, ok() is false, every later read yields zero or empty, and the
/// position stays.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <std::unsigned_integral T>
  T Fixed() {
    auto field = Bytes(sizeof(T));
    return field.size() == sizeof(T) ? LoadLe<T>(field.data()) : T{0};
  }
  uint64_t Varint() {
    if (ok_ && remaining() > 0 && bytes_[position_] < std::byte{0x80}) {
      return static_cast<uint64_t>(bytes_[position_++]);
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      auto field = Bytes(1);
      if (field.empty()) return 0;
      const auto byte = static_cast<uint64_t>(field[0]);
      const bool is_padded = byte == 0 && shift > 0;
      if (is_padded || (shift == 63 && byte > 1)) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  std::span<const std::byte> Bytes(uint64_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    auto field = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return field;
  }
  std::string_view String() {
    auto field = Bytes(Varint());
    return {reinterpret_cast<const char*>(field.data()), field.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace qstore::base
