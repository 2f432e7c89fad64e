// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float_convert.h"

namespace qstore::scheme {

float NumberOf(DType type, uint32_t pattern) {
  switch (type) {
    case DType::kBF16:
      return base::Bf16ToFloat(static_cast<uint16_t>(pattern));
    case DType::kF16:
      return base::Fp16ToFloat(static_cast<uint16_t>(pattern));
    default:
      return std::bit_cast<float>(pattern);
  }
}

namespace {

uint32_t PatternOf(DType type, float value) {
  switch (type) {
    case DType::kBF16:
      return base::FloatToBf16(value);
    case DType::kF16:
      return base::FloatToFp16(value);
    default:
      return std::bit_cast<uint32_t>(value);
  }
}

uint32_t E4m3Of(float value) {
  uint8_t code = 0;
  codec::kScalarRounding.e4m3(&value, 1, &code);
  return code;
}

float Nearest(float value) {
  constexpr float kMagic = 12582912.0f;
  return value + kMagic - kMagic;
}

// Smaller numbers count as 0, so that no quotient of them is subnormal.
float AtLeast(float number) { return number >= kLeastUsable ? number : 0.0f; }

float Usable(const Rounding& rounding, float factor) {
  if (IsUsable(factor)) return factor;
  return rounding.multiply ? kLeastUsable : kMostUsable;
}

float UsableEitherWay(float factor) { return IsUsable(std::fabs(factor)) ? factor : kMostUsable; }

// A power of two: the largest number takes `binades` of them, and a weight up to 7/8 of the next
// still rounds to it.
uint32_t PowerFor(uint32_t most, float binades) {
  const auto byte = static_cast<int>(((most >> 16) + 0x20) >> 7) - static_cast<int>(binades);
  return static_cast<uint32_t>(std::clamp(byte, 0, 254));
}

// In place of a scale that is 0, tools store what a float of its type has for an epsilon.
float EpsilonOf(DType type) {
  return type == DType::kBF16 ? 0x1p-7f : type == DType::kF16 ? 0x1p-10f : 0x1p-23f;
}
constexpr uint32_t kE4m3Epsilon = 0x20;  // 2^-3.
constexpr uint32_t kE4m3One = 0x38;

uint32_t ScalePattern(DType weights, float scale) {
  const uint32_t pattern = PatternOf(weights, scale);
  return pattern == 0 ? PatternOf(weights, EpsilonOf(weights)) : pattern;
}

uint32_t GlobalPattern(float scale) {
  const uint32_t code = E4m3Of(scale);
  return code == 0 ? kE4m3Epsilon : code;
}

Stored StoredForRange(const Rounding& rounding, DType weights, const Extremes& extremes) {
  const float least = std::min(extremes.least, 0.0f);
  const float greatest = std::max(extremes.greatest, 0.0f);
  const float range = AtLeast(RoundTo(weights, greatest - least));
  const uint32_t pattern = ScalePattern(weights, range / rounding.top);
  const float scale = NumberOf(weights, pattern);
  const auto low = static_cast<float>(rounding.low);
  if (!IsUsable(scale)) return {pattern};
  const float zero = RoundTo(weights, low - RoundTo(weights, least / scale));
  // Of a NaN the largest, as for codes.
  const auto high = static_cast<float>(rounding.high);
  const float below = zero < high ? zero : high;
  return {pattern, Nearest(below > low ? below : low)};
}

// From the end that is farther from 0, which a code then stands for exactly.
Stored StoredForAffine(const Rounding& rounding, DType weights, const Extremes& extremes) {
  constexpr float kLeastScale = 1e-7f;
  const float range = (extremes.greatest - extremes.least) / rounding.top;
  const float size = range > kLeastScale ? range : kLeastScale;
  const bool from_least = std::fabs(extremes.least) > std::fabs(extremes.greatest);
  const float edge = from_least ? extremes.least : extremes.greatest;
  float scale = from_least ? size : -size;
  const float quotient = edge / scale;
  const float steps = std::fabs(quotient) < 0x1p22f ? Nearest(quotient) : quotient;
  const bool has_steps = !(steps == 0.0f);
  if (has_steps) scale = edge / steps;
  return {PatternOf(weights, scale), has_steps ? edge : 0.0f, scale};
}

// The factor 1 / inverse, or the one that it was made of. Tools take the latter: it follows from
// the absmax, a number of the weights' type near top * inverse.
float FactorOfInverse(const Rounding& rounding, DType weights, float inverse) {
  const float absmax = RoundTo(weights, inverse * rounding.top);
  const float factor = 1.0f / absmax * rounding.top;
  return 1.0f / factor == inverse ? factor : 1.0f / inverse;
}

}  // namespace

float RoundTo(DType type, float value) { return NumberOf(type, PatternOf(type, value)); }

codec::Scaling ScalingOf(const Rounding& rounding, DType weights) {
  uint8_t rounded = 0;
  if (rounding.rounds && weights == DType::kBF16) rounded = 1;
  if (rounding.rounds && weights == DType::kF16) rounded = 2;
  return {rounding.multiply, rounded, rounding.scale == ScaleKind::kAffine};
}

float NumberOfE4m3(uint32_t code) {
  if ((code & 0x7f) == 0x7f) return std::bit_cast<float>(0x7fc00000 | (code & 0x80) << 24);
  const uint32_t exponent = code >> 3 & 15;
  const float mantissa = static_cast<float>(code & 7) + (exponent == 0 ? 0.0f : 8.0f);
  const float power = std::bit_cast<float>((std::max(exponent, 1u) + 127 - 10) << 23);
  return (code & 0x80) != 0 ? -mantissa * power : mantissa * power;
}

float NumberOfCode(const Rounding& rounding, uint8_t code) {
  constexpr float kE2m1[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  switch (rounding.grid) {
    case GridKind::kIntegers:
      return static_cast<float>(rounding.bits == 8 ? static_cast<int8_t>(code)
                                                   : static_cast<int8_t>(code << 4) >> 4);
    case GridKind::kE4m3:
      return NumberOfE4m3(code);
    case GridKind::kE2m1:
      return (code & 8) != 0 ? -kE2m1[code & 7] : kE2m1[code & 7];
    case GridKind::kTable:
      break;
  }
  size_t place = 0;
  if (rounding.codes == nullptr) return rounding.numbers[code & 15];
  while (place < codec::kTableSteps && rounding.codes[place] != code) ++place;
  return rounding.numbers[place];
}

bool Applies(const Rounding& rounding, DType weights) {
  const bool is_float = weights == DType::kBF16 || weights == DType::kF16 || weights == DType::kF32;
  return is_float && (rounding.scale != ScaleKind::kPower || weights == DType::kBF16);
}

DType ScaleType(const Rounding& rounding, DType weights) {
  switch (rounding.scale) {
    case ScaleKind::kQuotient:
    case ScaleKind::kRange:
    case ScaleKind::kAffine:
      return weights;
    case ScaleKind::kGlobal:
    case ScaleKind::kProduct:
      return DType::kF8E4M3;
    case ScaleKind::kPower:
      return DType::kU8;
    default:
      return DType::kF32;
  }
}

Stored StoredFor(const Rounding& rounding, DType weights, const Extremes& extremes, float global) {
  const float absmax = AtLeast(std::bit_cast<float>(extremes.most));
  switch (rounding.scale) {
    case ScaleKind::kQuotient:
      return {ScalePattern(weights, absmax / rounding.top)};
    case ScaleKind::kInverse:
      return {std::bit_cast<uint32_t>(absmax == 0 ? 1.0f : 1.0f / (1.0f / absmax * rounding.top))};
    case ScaleKind::kRange:
      return StoredForRange(rounding, weights, extremes);
    case ScaleKind::kGlobal:
      return {GlobalPattern(global * RoundTo(weights, absmax / rounding.top))};
    case ScaleKind::kPower:
      return {PowerFor(extremes.most, rounding.top)};
    case ScaleKind::kWide:
      return {std::bit_cast<uint32_t>(RoundTo(weights, absmax / rounding.top))};
    case ScaleKind::kSingle:
      return {std::bit_cast<uint32_t>(absmax / rounding.top)};
    case ScaleKind::kReciprocal:
      return {std::bit_cast<uint32_t>(1.0f / RoundTo(weights, rounding.top / absmax))};
    case ScaleKind::kProduct: {
      const uint32_t code = E4m3Of(absmax / (rounding.top * global));
      return {code == 0 ? kE4m3One : code};
    }
    case ScaleKind::kAffine:
      return StoredForAffine(rounding, weights, extremes);
    default:
      return {extremes.most};
  }
}

void StoredForAll(const Rounding& rounding, DType weights, std::span<const Extremes> extremes,
                  float global, Stored* stored) {
  const bool is_global = rounding.scale == ScaleKind::kGlobal;
  if (!is_global && rounding.scale != ScaleKind::kProduct) {
    for (size_t g = 0; g < extremes.size(); ++g) {
      stored[g] = StoredFor(rounding, weights, extremes[g], global);
    }
    return;
  }
  constexpr size_t kStrip = 256;
  float scales[kStrip];
  uint8_t codes[kStrip];
  const codec::RoundKernels& kernels = codec::ActiveRounding();
  const uint32_t at_least = is_global ? kE4m3Epsilon : kE4m3One;
  for (size_t begin = 0; begin < extremes.size(); begin += kStrip) {
    const size_t count = std::min(kStrip, extremes.size() - begin);
    for (size_t g = 0; g < count; ++g) {
      const float absmax = AtLeast(std::bit_cast<float>(extremes[begin + g].most));
      scales[g] = is_global ? global * RoundTo(weights, absmax / rounding.top)
                            : absmax / (rounding.top * global);
    }
    kernels.e4m3(scales, count, codes);
    for (size_t g = 0; g < count; ++g) stored[begin + g] = {codes[g] == 0 ? at_least : codes[g]};
  }
}

float UsableGlobal(float global) { return IsUsable(global) ? global : 1.0f; }

float FactorFor(const Rounding& rounding, DType weights, uint32_t pattern, float global) {
  const DType type = ScaleType(rounding, weights);
  float factor = 0;
  // What is divided by 0 is replaced below. NOLINTBEGIN(clang-analyzer-core.DivideZero)
  switch (rounding.scale) {
    case ScaleKind::kAbsmax:
      factor = 1.0f / NumberOf(type, pattern);
      break;
    case ScaleKind::kAbsmaxTimes:
      factor = 1.0f / NumberOf(type, pattern) * rounding.top;
      break;
    case ScaleKind::kAbsmaxQuotient:
      factor = rounding.top / NumberOf(type, pattern);
      break;
    case ScaleKind::kInverse:
      factor = FactorOfInverse(rounding, weights, NumberOf(type, pattern));
      break;
    case ScaleKind::kGlobal:
      factor = NumberOfE4m3(pattern) / global;
      break;
    case ScaleKind::kPower:
      factor = std::bit_cast<float>(std::clamp<uint32_t>(pattern, 1, 254) << 23);
      break;
    case ScaleKind::kWide:
      factor = NumberOf(type, pattern);
      if (rounding.multiply) factor = 1.0f / factor;
      break;
    case ScaleKind::kReciprocal:
      factor = RoundTo(weights, 1.0f / NumberOf(type, pattern));
      break;
    case ScaleKind::kProduct:
      factor = NumberOfE4m3(pattern) * global;
      break;
    case ScaleKind::kAffine:
      return UsableEitherWay(NumberOf(type, pattern));
    default:
      factor = NumberOf(type, pattern);
      break;
  }
  // NOLINTEND(clang-analyzer-core.DivideZero)
  return Usable(rounding, factor);
}

float ValueFactor(const Rounding& rounding, DType weights, uint32_t pattern, float global) {
  const bool is_computed = rounding.scale == ScaleKind::kGlobal ||
                           rounding.scale == ScaleKind::kProduct ||
                           rounding.scale == ScaleKind::kPower;
  const float factor = is_computed ? FactorFor(rounding, weights, pattern, global)
                                   : NumberOf(ScaleType(rounding, weights), pattern);
  return IsUsable(factor) ? factor : 0.0f;
}

float ExactFactor(const Rounding& rounding, const Stored& stored, const Extremes& extremes) {
  if (rounding.scale == ScaleKind::kAffine) return UsableEitherWay(stored.exact);
  return Usable(rounding, 1.0f / std::bit_cast<float>(extremes.most) * rounding.top);
}

FactorTable::FactorTable(const Rounding& rounding, DType weights, float global)
    : rounding_(rounding),
      weights_(weights),
      global_(global),
      is_of_bytes_(DTypeBits(ScaleType(rounding, weights)) == 8) {
  if (!is_of_bytes_) return;
  for (uint32_t pattern = 0; pattern < 256; ++pattern) {
    of_byte_[pattern] = FactorFor(rounding, weights, pattern, global);
  }
}

}  // namespace qstore::scheme
