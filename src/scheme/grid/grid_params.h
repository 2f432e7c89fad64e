// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "qstore/status.h"
#include "scheme/grid/groups.h"
#include "scheme/grid/rounding.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// How codes lie in a tensor. On disk.
enum class CodeLayout : uint8_t {
  kPlain = 0,      ///< A byte each; those of four bits two a byte, the first in the low bits.
  kHighFirst = 1,  ///< Two a byte, the first in the high bits.
  kOffset = 2,  ///< As kPlain, with the top bit of each code turned: more by half of all numbers.
};
inline constexpr unsigned kCodeLayoutCount = 3;

/// What belongs to a quantized tensor beside its codes; the order of parents.
struct GridSides {
  bool has_scales = false;
  bool has_zeros = false;
  bool has_global = false;
  size_t count() const { return size_t{has_scales} + size_t{has_zeros} + size_t{has_global}; }
};

/// The parameters of the schemes of grids: rule, layout, groups, and which sides are parents.
/// docs/format-grids.md, "Parameters".
struct GridParams {
  RoundingRule rule = RoundingRule::kE4m3;
  CodeLayout layout = CodeLayout::kPlain;
  GridSides sides;
  Groups groups;

  const Rounding& rounding() const { return RoundingOf(rule); }
};

std::vector<std::byte> WriteGridParams(const GridParams& params);

/// Errors: kCorrupt, parameters that no writer makes; kUnsupportedFeature, a rule that is not
/// known.
Result<GridParams> ReadGridParams(std::span<const std::byte> bytes);

/// The scales, zero points and global scale of a tensor, as contents or as objects.
template <class T>
struct SidesOf {
  const T* scales = nullptr;
  const T* zeros = nullptr;
  const T* global = nullptr;
};
template <class T>
SidesOf<T> TakeSides(const GridSides& sides, std::span<const T> parents) {
  SidesOf<T> taken;
  size_t next = 0;
  if (sides.has_scales) taken.scales = &parents[next++];
  if (sides.has_zeros) taken.zeros = &parents[next++];
  if (sides.has_global) taken.global = &parents[next++];
  return taken;
}

/// Whether the sides are what the rule wants for weights of that type and number. Errors: kCorrupt,
/// kLimit.
Status CheckGridSides(const GridParams& params, DType weights, uint64_t elem_count,
                      std::span<const ObjectSpec> sides);

/// The number of weights of so many elements of codes. REQUIRES: these are whole codes.
inline uint64_t CountWeights(const GridParams& params, uint64_t elem_bytes, uint64_t elems) {
  return elems * 8 * elem_bytes / params.rounding().bits;
}

/// Whether elements of `codes`, bytes or words, and its chunks, hold whole codes, and as many as
/// there are weights.
bool AreCodesOf(const GridParams& params, const ObjectSpec& codes, uint64_t weights);

}  // namespace qstore::scheme
