// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qstore::store {

/// Contents of small objects that one thread has decoded: files may repeat them in any number, and
/// to decode each again would cost far more than its bytes are worth. Forgets all of them when it
/// is full.
class SmallObjects {
 public:
  /// Of an object that is kept here.
  static constexpr uint64_t kMost = uint64_t{64} << 10;
  /// What it takes.
  static constexpr uint64_t kMemory = uint64_t{2} << 20;

  /// The content, until the next Add; empty when it is not here.
  std::span<const std::byte> Find(uint32_t object) const {
    const auto found = places_.find(object);
    if (found == places_.end()) return {};
    return std::span(bytes_).subspan(found->second.first, found->second.second);
  }

  void Add(uint32_t object, std::span<const std::byte> content) {
    if (bytes_.size() + content.size() > kMemory / 4 || places_.size() >= kMemory / 256) {
      bytes_.clear();
      places_.clear();
    }
    places_[object] = {bytes_.size(), content.size()};
    bytes_.insert(bytes_.end(), content.begin(), content.end());
  }

 private:
  std::unordered_map<uint32_t, std::pair<size_t, size_t>> places_;  // In bytes_, with sizes.
  std::vector<std::byte> bytes_;
};

}  // namespace qstore::store
