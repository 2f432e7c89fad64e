// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/status.h"

namespace qstore::base {

/// Bytes that can be read at any offset: a file, a part of one, memory.
/// Thread-safety: Read may be called from many threads at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  /// Fills `out` from `offset`. An error when the range does not lie inside the source.
  virtual Status Read(uint64_t offset, std::span<std::byte> out) const = 0;
};

}  // namespace qstore::base
