// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/grid_params.h"

#include <numeric>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/checks.h"
#include "scheme/grid/side_bytes.h"

namespace qstore::scheme {
namespace {

enum Flag : uint8_t { kScales = 1, kZeros = 2, kGlobal = 4, kAllFlags = 7 };

bool IsPossible(const GridParams& params) {
  const Rounding& rounding = params.rounding();
  const Groups& groups = params.groups;
  const bool is_global =
      rounding.scale == ScaleKind::kGlobal || rounding.scale == ScaleKind::kProduct;
  const bool has_layouts = rounding.bits == 4 || rounding.bits == 8;
  const bool fits = groups.height > 0 && groups.width > 0 && groups.columns >= groups.width &&
                    groups.columns <= format::kMaxSize && groups.height <= format::kMaxSize;
  return fits && params.sides.has_global == is_global &&
         (!params.sides.has_zeros || HasZeros(rounding)) &&
         (params.layout != CodeLayout::kHighFirst || rounding.bits == 4) &&
         (params.layout == CodeLayout::kPlain || has_layouts);
}

}  // namespace

std::vector<std::byte> WriteGridParams(const GridParams& params) {
  std::vector<std::byte> bytes;
  base::ByteWriter writer(&bytes);
  writer.Fixed(static_cast<uint8_t>(params.rule));
  writer.Fixed(static_cast<uint8_t>(params.layout));
  writer.Fixed(static_cast<uint8_t>((params.sides.has_scales ? kScales : 0) |
                                    (params.sides.has_zeros ? kZeros : 0) |
                                    (params.sides.has_global ? kGlobal : 0)));
  writer.Varint(params.groups.height);
  writer.Varint(params.groups.width);
  writer.Varint(params.groups.columns);
  return bytes;
}

Result<GridParams> ReadGridParams(std::span<const std::byte> bytes) {
  base::ByteReader reader(bytes);
  GridParams params;
  const auto rule = reader.Fixed<uint8_t>();
  const auto layout = reader.Fixed<uint8_t>();
  const auto flags = reader.Fixed<uint8_t>();
  params.groups.height = reader.Varint();
  params.groups.width = reader.Varint();
  params.groups.columns = reader.Varint();
  if (!reader.ok() || reader.remaining() != 0 || rule == 0 || layout >= kCodeLayoutCount ||
      flags > kAllFlags) {
    return Corrupt("grid: parameters out of range");
  }
  if (FindRounding(rule) == nullptr) {
    return Status(ErrorCode::kUnsupportedFeature, "grid: an unknown rule");
  }
  params.rule = static_cast<RoundingRule>(rule);
  params.layout = static_cast<CodeLayout>(layout);
  params.sides = {(flags & kScales) != 0, (flags & kZeros) != 0, (flags & kGlobal) != 0};
  if (!IsPossible(params)) return Corrupt("grid: parameters do not fit one another");
  return params;
}

Status CheckGridSides(const GridParams& params, DType weights, uint64_t elem_count,
                      std::span<const ObjectSpec> sides) {
  const Rounding& rounding = params.rounding();
  if (!Applies(rounding, weights)) return Corrupt("grid: the rule is not for such weights");
  if (elem_count % params.groups.columns != 0) return Corrupt("grid: the last row is cut");
  const uint64_t group_count = params.groups.Count(elem_count);
  for (const ObjectSpec& side : sides) QSTORE_TRY(CheckSmall(side));
  const auto taken = TakeSides(params.sides, sides);
  if (taken.scales != nullptr) {
    const uint64_t bytes = DTypeBits(ScaleType(rounding, weights)) / 8;
    if (taken.scales->byte_size != group_count * bytes) {
      return Corrupt("grid: scales are not one for each group");
    }
  }
  if (taken.zeros != nullptr && rounding.scale == ScaleKind::kAffine) {
    if (taken.zeros->byte_size != group_count * DTypeBits(weights) / 8) {
      return Corrupt("grid: biases are not one for each group");
    }
  } else if (taken.zeros != nullptr) {
    const uint64_t rows = elem_count / params.groups.columns;
    const bool fits = params.groups.height == 1 && rows % ZeroRows(rounding) == 0;
    if (!fits || taken.zeros->byte_size != group_count * rounding.bits / 8) {
      return Corrupt("grid: zero points are not a code for each group");
    }
  }
  if (taken.global != nullptr && taken.global->byte_size != 4) {
    return Corrupt("grid: the global scale is not one F32");
  }
  return {};
}

bool AreCodesOf(const GridParams& params, const ObjectSpec& codes, uint64_t weights) {
  const uint64_t bits = params.rounding().bits;
  const uint64_t elem_bits = 8 * codes.elem_bytes();
  if (codes.elem_bytes() != 1 && codes.elem_bytes() != 4) return false;
  if (codes.byte_size > format::kMaxSize / 8 || weights > format::kMaxSize / 8) return false;
  // Chunks begin with a code, and where two share a byte with a byte.
  const uint64_t step = std::lcm(bits, elem_bits) / elem_bits;
  // No rule has codes of no bits. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
  const bool is_cut = codes.chunk_elems % step != 0;
  return codes.byte_size * 8 == weights * bits && (!is_cut || codes.chunk_count() <= 1);
}

}  // namespace qstore::scheme
