// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "registry/slow_grids.h"
#include "registry/weights.h"
#include "scheme/grid/grid_params.h"

// Tensors of formats that round weights to a grid, made one weight after the other.

namespace qstore::testing {

/// A matrix of weights as a format has it.
struct GridTwin {
  scheme::GridParams params;  ///< All sides that the rule has.
  DType weights_type = DType::kBF16;
  uint64_t rows = 0;
  std::vector<std::byte> weights, codes, scales, zeros, global;

  uint64_t elem_count() const { return rows * params.groups.columns; }
  DType scale_type() const { return scheme::ScaleType(params.rounding(), weights_type); }
};

namespace grids {

inline uint32_t StoredScale(const GridTwin& twin, float absmax, float least, float greatest,
                            float global) {
  const scheme::Rounding& rule = twin.params.rounding();
  const auto pattern = [&](float value) {
    std::vector<std::byte> bytes;
    AppendPattern(twin.scale_type(), value, &bytes);
    uint32_t found = 0;
    std::memcpy(&found, bytes.data(), bytes.size());
    return found;
  };
  switch (rule.scale) {
    case scheme::ScaleKind::kQuotient:
      return pattern(absmax / rule.top);
    case scheme::ScaleKind::kInverse:
      return pattern(1.0f / (1.0f / absmax * rule.top));
    case scheme::ScaleKind::kRange:
      return pattern(RoundedTo(twin.weights_type, greatest - least) / rule.top);
    case scheme::ScaleKind::kGlobal:
      return SlowE4m3(global * RoundedTo(twin.weights_type, absmax / rule.top));
    case scheme::ScaleKind::kWide:
      return pattern(RoundedTo(twin.weights_type, absmax / rule.top));
    case scheme::ScaleKind::kSingle:
      return pattern(absmax / rule.top);
    case scheme::ScaleKind::kReciprocal:
      return pattern(1.0f / RoundedTo(twin.weights_type, rule.top / absmax));
    case scheme::ScaleKind::kProduct:
      return SlowE4m3(absmax / (rule.top * global));
    case scheme::ScaleKind::kPower: {
      // The power of two by which the largest weight comes to lie in the binade of the largest
      // number, once it is rounded to three bits.
      int exponent = 0;
      const float fraction = std::frexp(absmax, &exponent);
      return static_cast<uint32_t>(exponent - 1 + (fraction >= 0.875f ? 1 : 0) -
                                   static_cast<int>(rule.top) + 127);
    }
    default:
      return pattern(absmax);
  }
}

inline float SlowScaled(const GridTwin& twin, float value, float absmax, uint32_t scale, int zero,
                        float global) {
  const scheme::Rounding& rule = twin.params.rounding();
  const DType type = twin.weights_type;
  const auto stored = [&] {
    return PatternValue(twin.scale_type(), reinterpret_cast<const std::byte*>(&scale));
  };
  switch (twin.params.rule) {
    case scheme::RoundingRule::kLlmInt8:
      return RoundedTo(DType::kF16, value) * (1.0f / absmax * 127.0f);
    case scheme::RoundingRule::kLlmInt8Quotient:
      return RoundedTo(DType::kF16, value) * (127.0f / absmax);
    case scheme::RoundingRule::kNf4:
    case scheme::RoundingRule::kFp4:
      return value * (1.0f / absmax);
    case scheme::RoundingRule::kE4m3Inverse:
      return value * (1.0f / absmax * rule.top);
    case scheme::RoundingRule::kInt4Zeros:
    case scheme::RoundingRule::kInt8Zeros:
    case scheme::RoundingRule::kInt8ByteZeros:
      return RoundedTo(type, RoundedTo(type, value / stored()) + static_cast<float>(zero));
    case scheme::RoundingRule::kNvfp4:
      return value / (static_cast<float>(NumberOfE4m3Size(scale)) / global);
    case scheme::RoundingRule::kNvfp4Product:
      return value / (static_cast<float>(NumberOfE4m3Size(scale)) * global);
    case scheme::RoundingRule::kInt8Wide:
      return value * (1.0f / stored());
    case scheme::RoundingRule::kE4m3Wide:
    case scheme::RoundingRule::kE4m3Single:
      return value / stored();
    case scheme::RoundingRule::kE4m3Reciprocal:
      return RoundedTo(type, value * RoundedTo(type, 1.0f / stored()));
    case scheme::RoundingRule::kMxfp8:
    case scheme::RoundingRule::kMxfp4:
      return value / std::ldexp(1.0f, static_cast<int>(scale) - 127);
    default:
      return RoundedTo(type, value / stored());
  }
}

inline uint8_t SlowCode(const scheme::Rounding& rule, float scaled) {
  switch (rule.grid) {
    case scheme::GridKind::kE4m3:
      return SlowE4m3(scaled);
    case scheme::GridKind::kE2m1:
      return SlowE2m1(scaled);
    case scheme::GridKind::kTable:
      return rule.codes == nullptr ? SlowSteps(scaled, rule.steps)
                                   : rule.codes[SlowSteps(scaled, rule.steps)];
    default:
      return SlowInteger(scaled, rule.low, rule.high);
  }
}

inline void PackCodes(GridTwin* twin, const std::vector<uint8_t>& codes) {
  const bool is_offset = twin->params.layout == scheme::CodeLayout::kOffset;
  const unsigned bits = twin->params.rounding().bits;
  const auto field = [&](uint64_t i) {
    const unsigned turned = codes[i] ^ (is_offset ? 1u << (bits - 1) : 0u);
    return turned & ((1u << bits) - 1);
  };
  if (8 % bits != 0) {
    const size_t begin = twin->codes.size();
    twin->codes.resize(begin + codes.size() * bits / 8);
    for (uint64_t i = 0; i < codes.size() * bits; ++i) {
      const unsigned bit = codes[i / bits] >> (i % bits) & 1;
      twin->codes[begin + i / 8] |= static_cast<std::byte>(bit << (i % 8));
    }
    return;
  }
  if (bits == 2) {
    for (uint64_t i = 0; i < codes.size(); i += 4) {
      const unsigned byte = field(i) | field(i + 1) << 2 | field(i + 2) << 4 | field(i + 3) << 6;
      twin->codes.push_back(static_cast<std::byte>(byte));
    }
    return;
  }
  for (uint64_t i = 0; i < codes.size(); i += 8 / bits) {
    unsigned byte = field(i);
    if (bits == 4) {
      const bool high_first = twin->params.layout == scheme::CodeLayout::kHighFirst;
      byte = high_first ? byte << 4 | field(i + 1) : byte | field(i + 1) << 4;
    }
    twin->codes.push_back(static_cast<std::byte>(byte));
  }
}

inline void PackZeros(GridTwin* twin, const std::vector<int>& zeros) {
  const scheme::Rounding& rule = twin->params.rounding();
  if (rule.has_byte_zeros) {
    for (const int zero : zeros) twin->zeros.push_back(static_cast<std::byte>(zero));
    return;
  }
  const uint64_t per_row = twin->params.groups.per_row();
  const uint64_t each = 32 / rule.bits;
  for (uint64_t r = 0; r < twin->rows / each; ++r) {
    for (uint64_t c = 0; c < per_row; ++c) {
      uint32_t word = 0;
      for (uint64_t i = 0; i < each; ++i) {
        const int zero = zeros[(each * r + i) * per_row + c] - rule.low;
        word |= static_cast<uint32_t>(zero) << (rule.bits * i);
      }
      const auto* at = reinterpret_cast<const std::byte*>(&word);
      twin->zeros.insert(twin->zeros.end(), at, at + 4);
    }
  }
}

}  // namespace grids

namespace grids {

// Scales of MLX, before they are rounded, and biases.
inline std::pair<float, float> Affine(const scheme::Rounding& rule, float least, float greatest) {
  float scale = std::max((greatest - least) / rule.top, 1e-7f);
  const bool from_least = std::fabs(least) > std::fabs(greatest);
  const float edge = from_least ? least : greatest;
  if (!from_least) scale = -scale;
  const float steps = std::nearbyint(edge / scale);
  if (steps == 0) return {scale, 0.0f};
  return {edge / steps, edge};
}

// Those of rules with biases, which have extremes of their own.
inline void RoundAffine(GridTwin* twin) {
  const scheme::Rounding& rule = twin->params.rounding();
  const uint64_t width = twin->params.groups.width;
  const size_t size = DTypeBits(twin->weights_type) / 8;
  std::vector<uint8_t> codes;
  for (uint64_t begin = 0; begin < twin->elem_count(); begin += width) {
    std::vector<float> values;
    for (uint64_t i = begin; i < begin + width; ++i) {
      values.push_back(PatternValue(twin->weights_type, &twin->weights[i * size]));
    }
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    const auto [scale, bias] = Affine(rule, *least, *greatest);
    AppendPattern(twin->weights_type, scale, &twin->scales);
    AppendPattern(twin->weights_type, bias, &twin->zeros);
    for (const float value : values) {
      codes.push_back(SlowInteger((value - bias) / scale, rule.low, rule.high));
    }
  }
  PackCodes(twin, codes);
}

}  // namespace grids

/// Fills codes and sides of a twin that has weights, none of which is special.
inline void RoundTwin(GridTwin* twin) {
  const scheme::Rounding& rule = twin->params.rounding();
  if (rule.scale == scheme::ScaleKind::kAffine) return grids::RoundAffine(twin);
  const scheme::Groups& groups = twin->params.groups;
  const size_t size = DTypeBits(twin->weights_type) / 8;
  const uint64_t count = groups.Count(twin->elem_count());
  std::vector<float> absmax(count), least(count), greatest(count);
  std::vector<uint8_t> codes;
  const auto value = [&](uint64_t i) {
    return PatternValue(twin->weights_type, &twin->weights[i * size]);
  };
  float most = 0;
  for (uint64_t i = 0; i < twin->elem_count(); ++i) {
    float w = value(i);
    if (rule.through_fp16) w = RoundedTo(DType::kF16, w);
    const uint64_t g = groups.Of(i);
    absmax[g] = std::max(absmax[g], std::fabs(w));
    least[g] = std::min(least[g], w);
    greatest[g] = std::max(greatest[g], w);
    most = std::max(most, std::fabs(w));
  }
  float global = 1.0f;
  if (rule.scale == scheme::ScaleKind::kGlobal) global = 448.0f * 6.0f / most;
  if (rule.scale == scheme::ScaleKind::kProduct) global = most / (448.0f * 6.0f);
  std::vector<uint32_t> scales(count);
  std::vector<int> zeros(count);
  for (uint64_t g = 0; g < count; ++g) {
    scales[g] = grids::StoredScale(*twin, absmax[g], least[g], greatest[g], global);
    const auto* at = reinterpret_cast<const std::byte*>(&scales[g]);
    twin->scales.insert(twin->scales.end(), at, at + DTypeBits(twin->scale_type()) / 8);
    if (rule.scale != scheme::ScaleKind::kRange) continue;
    const float steps =
        RoundedTo(twin->weights_type, least[g] / PatternValue(twin->scale_type(), at));
    const auto low = static_cast<float>(rule.low);
    const auto high = static_cast<float>(rule.high);
    zeros[g] = static_cast<int>(
        std::nearbyint(std::clamp(RoundedTo(twin->weights_type, low - steps), low, high)));
  }
  for (uint64_t i = 0; i < twin->elem_count(); ++i) {
    const uint64_t g = groups.Of(i);
    codes.push_back(grids::SlowCode(
        rule, grids::SlowScaled(*twin, value(i), absmax[g], scales[g], zeros[g], global)));
  }
  grids::PackCodes(twin, codes);
  if (twin->params.sides.has_zeros) grids::PackZeros(twin, zeros);
  if (twin->params.sides.has_global) AppendPattern(DType::kF32, global, &twin->global);
}

inline GridTwin MakeGridTwin(scheme::RoundingRule rule, DType weights, uint64_t rows,
                             const scheme::Groups& groups,
                             scheme::CodeLayout layout = scheme::CodeLayout::kPlain) {
  GridTwin twin;
  twin.params = {rule, layout, {}, groups};
  const scheme::ScaleKind kind = twin.params.rounding().scale;
  const bool is_global = kind == scheme::ScaleKind::kGlobal || kind == scheme::ScaleKind::kProduct;
  twin.params.sides = {true, scheme::HasZeros(twin.params.rounding()), is_global};
  twin.weights_type = weights;
  twin.rows = rows;
  twin.weights = MakePair(weights, rows, groups.columns, 3).high;
  RoundTwin(&twin);
  return twin;
}

}  // namespace qstore::testing
