// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "qstore/byte_source.h"

namespace qstore::fuzz {

/// Takes numbers and byte strings off the front of an input; past its end everything is zero.
class FuzzInput {
 public:
  explicit FuzzInput(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <std::unsigned_integral T>
  T Number() {
    std::byte field[sizeof(T)] = {};
    const size_t count = std::min(sizeof(T), bytes_.size());
    std::copy_n(bytes_.begin(), count, field);
    bytes_ = bytes_.subspan(count);
    return base::LoadLe<T>(field);
  }
  /// 0 … bound-1.
  uint64_t Below(uint64_t bound) { return Number<uint32_t>() % bound; }

  /// Exactly `count` bytes: the next ones of the input, repeated when they are too few.
  std::vector<std::byte> Bytes(size_t count) {
    std::vector<std::byte> out(count);
    const auto part = bytes_.first(std::min(count, bytes_.size()));
    for (size_t at = 0; at < count && !part.empty(); at += part.size()) {
      std::copy_n(part.begin(), std::min(part.size(), count - at), out.data() + at);
    }
    bytes_ = bytes_.subspan(part.size());
    return out;
  }
  std::span<const std::byte> Rest() { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// Memory as a file.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return IoError("read outside the input");
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace qstore::fuzz
