// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "qstore/dtype.h"
#include "scheme/grid/groups.h"

// Where scales and zero points lie in their tensors.

namespace qstore::scheme {

/// Rows whose zero points share a word, and bits of each.
inline constexpr uint64_t kZeroRows = 8;
inline constexpr unsigned kZeroBits = 4;

inline uint32_t LoadPattern(DType type, std::span<const std::byte> bytes, uint64_t i) {
  switch (DTypeBits(type)) {
    case 8:
      return static_cast<uint32_t>(bytes[i]);
    case 16:
      return base::LoadLe<uint16_t>(bytes.data() + 2 * i);
    default:
      return base::LoadLe<uint32_t>(bytes.data() + 4 * i);
  }
}

/// Zero points of a column of groups lie in words of eight rows.
struct ZeroPlace {
  ZeroPlace(const Groups& groups, uint64_t group)
      : word(group / groups.per_row() / kZeroRows * groups.per_row() + group % groups.per_row()),
        shift(static_cast<unsigned>(group / groups.per_row() % kZeroRows) * kZeroBits) {}
  uint64_t word;
  unsigned shift;
};

}  // namespace qstore::scheme
