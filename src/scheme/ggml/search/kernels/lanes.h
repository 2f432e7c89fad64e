// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// Numbers of as many groups of weights as are searched at once, one lane each. Compiled anew, with
// internal linkage, for every instruction set that includes this file.

namespace qstore::scheme::ggml {
namespace {

// Two registers: steps that wait for one another leave time for those of another group.
#if defined(__AVX512F__)
constexpr size_t kPartLanes = 16;
#elif defined(__AVX2__)
constexpr size_t kPartLanes = 8;
#else
constexpr size_t kPartLanes = 4;
#endif
constexpr size_t kLanes = 2 * kPartLanes;

using FloatPart = float __attribute__((vector_size(4 * kPartLanes)));
using IntPart = int32_t __attribute__((vector_size(4 * kPartLanes)));

struct Floats {
  FloatPart low, high;
};

// Also the outcome of comparisons: all bits of a lane, or none.
struct Ints {
  IntPart low, high;
};

inline Floats All(float value) { return {FloatPart{} + value, FloatPart{} + value}; }

inline Floats Load(const float* from) {
  Floats out;
  std::memcpy(&out.low, from, sizeof(out.low));
  std::memcpy(&out.high, from + kPartLanes, sizeof(out.high));
  return out;
}

inline void Store(const Floats& values, float* to) {
  std::memcpy(to, &values.low, sizeof(values.low));
  std::memcpy(to + kPartLanes, &values.high, sizeof(values.high));
}

inline Floats operator+(const Floats& a, const Floats& b) {
  return {a.low + b.low, a.high + b.high};
}
inline Floats operator-(const Floats& a, const Floats& b) {
  return {a.low - b.low, a.high - b.high};
}
inline Floats operator*(const Floats& a, const Floats& b) {
  return {a.low * b.low, a.high * b.high};
}
inline Floats operator/(const Floats& a, const Floats& b) {
  return {a.low / b.low, a.high / b.high};
}
inline Floats operator-(const Floats& a) { return {-a.low, -a.high}; }

inline Ints operator<(const Floats& a, const Floats& b) { return {a.low < b.low, a.high < b.high}; }
inline Ints operator>(const Floats& a, const Floats& b) { return b < a; }
inline Ints operator<=(const Floats& a, const Floats& b) {
  return {a.low <= b.low, a.high <= b.high};
}
inline Ints operator==(const Floats& a, const Floats& b) {
  return {a.low == b.low, a.high == b.high};
}
inline Ints operator!=(const Floats& a, const Floats& b) {
  return {a.low != b.low, a.high != b.high};
}
inline Ints operator&(const Ints& a, const Ints& b) { return {a.low & b.low, a.high & b.high}; }
inline Ints operator|(const Ints& a, const Ints& b) { return {a.low | b.low, a.high | b.high}; }
inline Ints operator~(const Ints& a) { return {~a.low, ~a.high}; }

inline Floats Select(const Ints& which, const Floats& a, const Floats& b) {
  return {which.low ? a.low : b.low, which.high ? a.high : b.high};
}

inline bool Any(const Ints& which) {
  const IntPart both = which.low | which.high;
  int32_t lanes[kPartLanes];
  std::memcpy(lanes, &both, sizeof(lanes));
  int32_t any = 0;
  for (const int32_t lane : lanes) any |= lane;
  return any != 0;
}

inline FloatPart AbsPart(FloatPart a) {
  IntPart bits;
  std::memcpy(&bits, &a, sizeof(bits));
  bits &= 0x7fffffff;
  std::memcpy(&a, &bits, sizeof(bits));
  return a;
}
inline Floats Abs(const Floats& a) { return {AbsPart(a.low), AbsPart(a.high)}; }

// a < b ? a : b, and a > b ? a : b.
#if defined(__AVX512F__)
inline FloatPart MinPart(FloatPart a, FloatPart b) { return _mm512_min_ps(a, b); }
inline FloatPart MaxPart(FloatPart a, FloatPart b) { return _mm512_max_ps(a, b); }
inline FloatPart SqrtPart(FloatPart a) { return _mm512_sqrt_ps(a); }
#elif defined(__AVX2__)
inline FloatPart MinPart(FloatPart a, FloatPart b) { return _mm256_min_ps(a, b); }
inline FloatPart MaxPart(FloatPart a, FloatPart b) { return _mm256_max_ps(a, b); }
inline FloatPart SqrtPart(FloatPart a) { return _mm256_sqrt_ps(a); }
#elif defined(__SSE2__)
inline FloatPart MinPart(FloatPart a, FloatPart b) { return _mm_min_ps(a, b); }
inline FloatPart MaxPart(FloatPart a, FloatPart b) { return _mm_max_ps(a, b); }
inline FloatPart SqrtPart(FloatPart a) { return _mm_sqrt_ps(a); }
#else
inline FloatPart MinPart(FloatPart a, FloatPart b) { return a < b ? a : b; }
inline FloatPart MaxPart(FloatPart a, FloatPart b) { return a > b ? a : b; }
inline FloatPart SqrtPart(FloatPart a) {
  for (size_t i = 0; i < kPartLanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
#endif
inline Floats Min(const Floats& a, const Floats& b) {
  return {MinPart(a.low, b.low), MinPart(a.high, b.high)};
}
inline Floats Max(const Floats& a, const Floats& b) {
  return {MaxPart(a.low, b.low), MaxPart(a.high, b.high)};
}
inline Floats Sqrt(const Floats& a) { return {SqrtPart(a.low), SqrtPart(a.high)}; }

// Adding it leaves no bits for a fraction: the sum is rounded to an integer, half to even.
constexpr float kNearShift = 12582912.0f;
// Numbers of at most this size are rounded so.
constexpr float kNearMost = 4194303.0f;
constexpr int32_t kNearMask = 0x007fffff;
constexpr int32_t kNearZero = 0x00400000;

inline FloatPart NearPart(FloatPart a) {
  a += kNearShift;
  IntPart bits;
  std::memcpy(&bits, &a, sizeof(bits));
  return __builtin_convertvector(((bits & kNearMask) - kNearZero) & (a == a), FloatPart);
}
// near() of docs/format-ggml.md, of any numbers.
inline Floats Near(const Floats& a) { return {NearPart(a.low), NearPart(a.high)}; }

inline FloatPart BytePart(FloatPart a) {
  return __builtin_convertvector(__builtin_convertvector(a, IntPart) & 255, FloatPart);
}
// Integers of 23 bits, of which the low eight bits are kept.
inline Floats Byte(const Floats& a) { return {BytePart(a.low), BytePart(a.high)}; }

// near() with limits, in the steps of integers if `kAny`. Without, numbers must be of at most
// kNearMost in size.
template <bool kAny>
inline Floats Near(const Floats& a, float least, float most) {
  if constexpr (kAny) return Max(Min(Near(a), All(most)), All(least));
  const Floats shifted = a + All(kNearShift);
  const Floats inside = Max(Min(shifted, All(kNearShift + most)), All(kNearShift + least));
  return inside - All(kNearShift);
}

inline Ints IsBeyondNear(const Floats& a) { return ~(Abs(a) <= All(kNearMost)); }

}  // namespace
}  // namespace qstore::scheme::ggml
