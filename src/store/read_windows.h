// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::store {

/// Short reads near one another, as of a million tiny tensors, some thousand bytes at a time. The
/// files outlive it. Not thread-safe.
class ReadWindows {
 public:
  /// Bytes of a read that goes by a window: a longer one takes little more time by itself.
  static constexpr uint64_t kShort = uint64_t{4} << 10;

  /// As ByteSource::Read.
  Status Read(const ByteSource& file, uint64_t offset, std::span<std::byte> out);

 private:
  struct Window {
    const ByteSource* file = nullptr;
    uint64_t begin = 0;
    uint64_t last_use = 0;
    std::vector<std::byte> bytes;
  };
  // A tensor, and those of other places and files that it is held against.
  std::array<Window, 4> windows_;
  uint64_t uses_ = 0;
};

}  // namespace qstore::store
