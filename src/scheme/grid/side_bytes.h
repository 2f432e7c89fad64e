// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "qstore/dtype.h"
#include "scheme/grid/groups.h"
#include "scheme/grid/rounding.h"

// Where scales and zero points lie in their tensors.

namespace qstore::scheme {

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

/// Bytes of an element of zero points, of a rule with such.
inline uint64_t ZeroBytes(const Rounding& rounding) {
  return rounding.has_byte_zeros ? 1 : sizeof(uint32_t);
}

/// Rows whose zero points share an element.
inline uint64_t ZeroRows(const Rounding& rounding) {
  return 8 * ZeroBytes(rounding) / rounding.bits;
}

/// Zero points of a column of groups lie in words of some rows each, counted from the least code,
/// or in bytes.
struct ZeroPlace {
  ZeroPlace(const Rounding& rounding, const Groups& groups, uint64_t group) {
    const uint64_t row = group / groups.per_row();
    elem = row / ZeroRows(rounding) * groups.per_row() + group % groups.per_row();
    shift = static_cast<unsigned>(row % ZeroRows(rounding)) * rounding.bits;
  }
  uint64_t elem;
  unsigned shift;
};

/// A group's zero point, counted from the least code.
inline unsigned LoadZero(const Rounding& rounding, const Groups& groups,
                         std::span<const std::byte> zeros, uint64_t group) {
  const ZeroPlace place(rounding, groups, group);
  const unsigned mask = (1u << rounding.bits) - 1;
  if (rounding.has_byte_zeros) {
    return (static_cast<unsigned>(zeros[place.elem]) - static_cast<unsigned>(rounding.low)) & mask;
  }
  return base::LoadLe<uint32_t>(zeros.data() + 4 * place.elem) >> place.shift & mask;
}

}  // namespace qstore::scheme
