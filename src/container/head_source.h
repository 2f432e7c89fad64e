// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::container {

/// A head in memory.
class HeadSource final : public ByteSource {
 public:
  explicit HeadSource(std::span<const std::byte> head) : head_(head) {}
  uint64_t size() const override { return head_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > head_.size() || out.size() > head_.size() - offset) {
      return Corrupt("the head ends too early");
    }
    std::copy_n(head_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  std::span<const std::byte> head_;
};

}  // namespace qstore::container
