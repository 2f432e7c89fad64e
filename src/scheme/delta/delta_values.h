// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "qstore/dtype.h"

// Steps between floats, one at a time. docs/format-coding.md, "Delta".

namespace qstore::scheme {

inline constexpr unsigned MantissaBits(DType dtype) {
  return dtype == DType::kF32 ? 23 : dtype == DType::kBF16 ? 7 : 10;
}

template <class T>
inline constexpr T kSignBit = static_cast<T>(T{1} << (8 * sizeof(T) - 1));

/// The step from one pattern to another, modulo the width: how many floats farther from 0 the
/// other one is. Below 0 the first float of the other sign follows 0 itself.
template <class T>
T StepBetween(T from, T to) {
  const T magnitude = to & static_cast<T>(~kSignBit<T>);
  const bool turns = ((from ^ to) & kSignBit<T>) != 0;
  const T signed_magnitude = turns ? static_cast<T>(~magnitude) : magnitude;
  return static_cast<T>(signed_magnitude - (from & static_cast<T>(~kSignBit<T>)));
}

/// The inverse.
template <class T>
T AfterStep(T from, T step) {
  const T moved = static_cast<T>((from & static_cast<T>(~kSignBit<T>)) + step);
  const bool turns = (moved & kSignBit<T>) != 0;
  return static_cast<T>((turns ? static_cast<T>(~moved) : moved) | ((from ^ moved) & kSignBit<T>));
}

/// 0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ...
template <class T>
T ZigZag(T step) {
  const T sign = (step & kSignBit<T>) != 0 ? static_cast<T>(~T{0}) : T{0};
  return static_cast<T>(static_cast<T>(step << 1) ^ sign);
}
template <class T>
T UnZigZag(T coded) {
  return static_cast<T>((coded >> 1) ^ static_cast<T>(T{0} - static_cast<T>(coded & 1)));
}

/// How far the exponent lies below `top`, at most `most`.
template <class T>
unsigned ExponentBelow(T pattern, unsigned mantissa, unsigned top, unsigned most) {
  const auto exponent = static_cast<unsigned>((pattern & static_cast<T>(~kSignBit<T>)) >> mantissa);
  return exponent >= top ? 0 : std::min(top - exponent, most);
}

}  // namespace qstore::scheme
