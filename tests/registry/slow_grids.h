// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/float_convert.h"
#include "qstore/dtype.h"

// Rounding to the grids of quantized formats, one number after the other: what the loops are held
// against. docs/format-grids.md, "Grids".

namespace qstore::testing {

/// A number rounded to a type.
inline float RoundedTo(DType dtype, float value) {
  if (dtype == DType::kBF16) return base::Bf16ToFloat(base::FloatToBf16(value));
  if (dtype == DType::kF16) return base::Fp16ToFloat(base::FloatToFp16(value));
  return value;
}

inline double NumberOfE4m3Size(unsigned code) {
  const auto exponent = static_cast<int>(code >> 3 & 15);
  const double mantissa = code & 7;
  return exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
}
inline double NumberOfE2m1Size(unsigned code) {
  constexpr double kNumbers[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return kNumbers[code & 7];
}

/// Which code, of those up to the last, stands for the nearest number, ties to the even code.
inline unsigned NearestCode(double size, const std::vector<double>& numbers) {
  unsigned best = 0;
  for (unsigned code = 1; code < numbers.size(); ++code) {
    const double closer = std::fabs(numbers[code] - size) - std::fabs(numbers[best] - size);
    if (closer < 0 || (closer == 0 && code % 2 == 0)) best = code;
  }
  return best;
}
inline std::vector<double> NumbersUpTo(unsigned last, double (*number_of)(unsigned)) {
  std::vector<double> numbers;
  for (unsigned code = 0; code <= last; ++code) numbers.push_back(number_of(code));
  return numbers;
}

inline uint8_t SlowE4m3(float value) {
  const auto sign = static_cast<uint8_t>(std::signbit(value) ? 0x80 : 0);
  if (std::isnan(value)) return sign | 0x7f;
  static const std::vector<double> kNumbers = NumbersUpTo(0x7e, NumberOfE4m3Size);
  return static_cast<uint8_t>(sign | NearestCode(std::min(std::fabs(value), 448.0f), kNumbers));
}
inline uint8_t SlowE2m1(float value) {
  if (std::fabs(value) < 0x1p-125f) return 0;
  const auto sign = static_cast<uint8_t>(std::signbit(value) ? 8 : 0);
  if (std::isnan(value)) return sign | 7;
  static const std::vector<double> kNumbers = NumbersUpTo(7, NumberOfE2m1Size);
  return static_cast<uint8_t>(sign | NearestCode(std::min(std::fabs(value), 6.0f), kNumbers));
}
inline uint8_t SlowInteger(float value, int low, int high) {
  if (std::isnan(value)) return static_cast<uint8_t>(high);
  const double limited = std::clamp<double>(value, low, high);
  return static_cast<uint8_t>(static_cast<int>(std::nearbyint(limited)));
}
inline uint8_t SlowSteps(float value, const float steps[15]) {
  if (std::fabs(value) < 0x1p-125f) value = 0;
  unsigned below = 0;
  for (unsigned i = 0; i < 15; ++i) below += value > steps[i] ? 1u : 0u;
  return static_cast<uint8_t>(below);
}

}  // namespace qstore::testing
