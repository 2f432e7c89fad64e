// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/bin_table_loops.h"
#include "codec/kernels/half_loops.h"
#include "codec/kernels/round_kernels.h"

// Plain loops that the compiler vectorizes; compiled anew, with internal linkage, for every
// instruction set that includes this file.

namespace qstore::codec {
namespace {
namespace rounding {

constexpr uint32_t kMagnitude = 0x7fffffff;
// 2^-125. Below, hosts may have results flushed to zero.
constexpr uint32_t kSmall = 0x01000000;

using loops::FloatBits;
using loops::FloatFrom;

// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, below 2^22.
inline float RoundHalfEven(float x) {
  constexpr float kMagic = 12582912.0f;
  return x + kMagic - kMagic;
}

inline void WidenBf16(const uint8_t* patterns, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t pattern;
    std::memcpy(&pattern, patterns + 2 * i, 2);
    const uint32_t bits = static_cast<uint32_t>(pattern) << 16;
    const uint32_t is_normal = 0u - static_cast<uint32_t>((pattern & 0x7f80) != 0);
    out[i] = FloatFrom(bits & (is_normal | 0x80000000));
  }
}

inline void WidenFp16(const uint8_t* patterns, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t pattern;
    std::memcpy(&pattern, patterns + 2 * i, 2);
    out[i] = halves::WidenFp16(pattern);
  }
}

inline void ThroughFp16(size_t count, float* values) {
  for (size_t i = 0; i < count; ++i) values[i] = halves::RoundToFp16(values[i]);
}

inline void Absmax(const float* values, size_t run_elems, size_t run_count, uint32_t* most) {
  for (size_t r = 0; r < run_count; ++r, values += run_elems) {
    uint32_t largest = 0;
    for (size_t i = 0; i < run_elems; ++i) {
      const uint32_t magnitude = FloatBits(values[i]) & kMagnitude;
      largest = magnitude > largest ? magnitude : largest;
    }
    most[r] = largest;
  }
}

// Numbers in the order of these are in the order of their values. It is its own inverse.
inline int32_t Ordered(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

inline void Extremes(const float* values, size_t run_elems, size_t run_count, float* least,
                     float* most) {
  for (size_t r = 0; r < run_count; ++r, values += run_elems) {
    int32_t low = INT32_MAX;
    int32_t high = INT32_MIN;
    for (size_t i = 0; i < run_elems; ++i) {
      const int32_t value = Ordered(static_cast<int32_t>(FloatBits(values[i])));
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    least[r] = FloatFrom(static_cast<uint32_t>(Ordered(low)));
    most[r] = FloatFrom(static_cast<uint32_t>(Ordered(high)));
  }
}

template <int kRounded>
inline float Rounded(float value) {
  if constexpr (kRounded == 1) return halves::RoundToBf16(value);
  if constexpr (kRounded == 2) return halves::RoundToFp16(value);
  return value;
}

template <bool kMultiply, int kRounded>
inline void ScaleRuns(const float* values, const ScaledRuns& runs, float* out) {
  for (size_t r = 0; r < runs.run_count; ++r, values += runs.run_elems, out += runs.run_elems) {
    const float factor = runs.factors[r];
    for (size_t i = 0; i < runs.run_elems; ++i) {
      out[i] = Rounded<kRounded>(kMultiply ? values[i] * factor : values[i] / factor);
    }
    if (runs.zeros == nullptr) continue;
    const float zero = runs.zeros[r];
    for (size_t i = 0; i < runs.run_elems; ++i) out[i] = Rounded<kRounded>(out[i] + zero);
  }
}

inline void Scale(const float* values, const ScaledRuns& runs, const Scaling& how, float* out) {
  switch (how.rounded + (how.multiply ? 4 : 0)) {
    case 0:
      return ScaleRuns<false, 0>(values, runs, out);
    case 1:
      return ScaleRuns<false, 1>(values, runs, out);
    case 2:
      return ScaleRuns<false, 2>(values, runs, out);
    case 5:
      return ScaleRuns<true, 1>(values, runs, out);
    case 6:
      return ScaleRuns<true, 2>(values, runs, out);
    default:
      return ScaleRuns<true, 0>(values, runs, out);
  }
}

inline void Integers(const float* values, size_t count, int low, int high, uint8_t* codes) {
  const auto least = static_cast<float>(low);
  const auto most = static_cast<float>(high);
  for (size_t i = 0; i < count; ++i) {
    const float below = values[i] < most ? values[i] : most;
    const float inside = below > least ? below : least;
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(RoundHalfEven(inside)));
  }
}

inline void E4m3(const float* values, size_t count, uint8_t* codes) {
  constexpr uint32_t kLargest = 0x43e00000;      // 448.
  constexpr uint32_t kLeastNormal = 0x3c800000;  // 2^-6.
  constexpr uint32_t kInfinity = 0x7f800000;
  // Adding this to a number below 2^-6 rounds it to a multiple of 2^-9, half to even.
  constexpr float kSubnormal = 0x1p14f;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const uint32_t magnitude = bits & kMagnitude;
    const uint32_t clamped = magnitude < kLargest ? magnitude : kLargest;
    const uint32_t above = ((clamped + 0x7ffff + (clamped >> 20 & 1)) >> 20) - 960;
    const uint32_t below = FloatBits(FloatFrom(clamped) + kSubnormal) - FloatBits(kSubnormal);
    const uint32_t number = clamped < kLeastNormal ? below : above;
    const uint32_t code = magnitude > kInfinity ? 0x7f : number;
    codes[i] = static_cast<uint8_t>(code | (bits >> 24 & 0x80));
  }
}

inline void E2m1(const float* values, size_t count, uint8_t* codes) {
  // Half-way between neighbours: .25, .75, 1.25, 1.75, 2.5, 3.5, 5. Ties go to the even code, so
  // that every other one of them belongs to the code below.
  constexpr uint32_t kHalf[7] = {0x3e800001, 0x3f400000, 0x3fa00001, 0x3fe00000,
                                 0x40200001, 0x40600000, 0x40a00001};
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const uint32_t magnitude = bits & kMagnitude;
    uint32_t code = magnitude >= kSmall ? bits >> 28 & 8 : 0;
    for (const uint32_t half : kHalf) code += static_cast<uint32_t>(magnitude >= half);
    codes[i] = static_cast<uint8_t>(code);
  }
}

inline void Steps(const float* values, size_t count, const float steps[kTableSteps],
                  uint8_t* codes) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const float value = FloatFrom((bits & kMagnitude) >= kSmall ? bits : 0);
    uint32_t code = 0;
    for (size_t s = 0; s < kTableSteps; ++s) code += static_cast<uint32_t>(value > steps[s]);
    codes[i] = static_cast<uint8_t>(code);
  }
}

template <unsigned kFirst>
inline void PackNibbles(const uint8_t* codes, size_t count, uint8_t flip, uint8_t* out) {
  for (size_t i = 0; i < count / 2; ++i) {
    const unsigned first = (codes[2 * i] & 15u) << kFirst;
    const unsigned second = (codes[2 * i + 1] & 15u) << (4 - kFirst);
    out[i] = static_cast<uint8_t>((first | second) ^ flip);
  }
}

inline void Nibbles(const uint8_t* codes, size_t count, bool high_first, uint8_t flip,
                    uint8_t* out) {
  if (high_first) return PackNibbles<4>(codes, count, flip, out);
  PackNibbles<0>(codes, count, flip, out);
}

// The number half-way between those of the E4M3 codes k - 1 and k.
struct E4m3Halves {
  constexpr E4m3Halves() {
    const auto number = [](int code) {
      float size = code < 8 ? static_cast<float>(code) : static_cast<float>(8 + (code & 7));
      for (int e = 1; e < code >> 3; ++e) size *= 2;
      return size * 0x1p-9f;
    };
    for (int k = 1; k <= 126; ++k) at[k] = (number(k - 1) + number(k)) / 2;
  }
  float at[kBinCount + 1] = {};
};
constexpr E4m3Halves kE4m3Halves;

// A boundary computed in floating point is at most two patterns away: those from one before it on
// are looked at.
inline bool Bf16BinsOf(bool is_e4m3, float factor, const Scaling& how, unsigned shift,
                       BinTable8* table) {
  constexpr size_t kLooked = 5;
  const size_t last = is_e4m3 ? 126 : kBinCount;
  uint32_t guess[kBinCount + 1];
  float values[kLooked][kBinCount + 1];
  uint8_t codes[kLooked][kBinCount + 1];
  for (size_t k = 0; k <= kBinCount; ++k) {
    const float half = is_e4m3 ? kE4m3Halves.at[k] : static_cast<float>(static_cast<int>(k)) - 0.5f;
    const float bound = how.multiply ? half / factor : half * factor;
    const uint32_t pattern = (FloatBits(bound) & kMagnitude) >> 16;
    guess[k] = pattern > 2 ? pattern - 2 : 0;
  }
  for (size_t j = 0; j < kLooked; ++j) {
    for (size_t k = 0; k <= kBinCount; ++k) {
      values[j][k] = FloatFrom((guess[k] + static_cast<uint32_t>(j)) << 16);
    }
    const ScaledRuns run{kBinCount + 1, 1, &factor, nullptr};
    Scale(values[j], run, how, values[j]);
    if (is_e4m3) {
      E4m3(values[j], kBinCount + 1, codes[j]);
    } else {
      for (size_t k = 0; k <= kBinCount; ++k) {
        const float inside = values[j][k] < 200.0f ? values[j][k] : 200.0f;
        codes[j][k] = static_cast<uint8_t>(static_cast<int32_t>(RoundHalfEven(inside)));
      }
    }
  }
  uint32_t first[kBinCount + 1];
  uint32_t bad = 0;
  for (uint32_t k = 1; k <= last; ++k) {
    uint32_t below = 0;
    for (size_t j = 1; j + 1 < kLooked; ++j) below += static_cast<uint32_t>(codes[j][k] < k);
    bad |=
        static_cast<uint32_t>(codes[0][k] >= k) | static_cast<uint32_t>(codes[kLooked - 1][k] < k);
    first[k] = guess[k] + 1 + below;
  }
  for (size_t k = last + 1; k <= kBinCount; ++k) first[k] = 0x7f80;
  if (bad != 0 || first[last] > 0x7f80 || first[1] <= 0x80) return false;
  loops::SetBinTable(first, shift, table);
  return true;
}

}  // namespace rounding

constexpr RoundKernels kRoundLoops = {
    .widen_bf16 = rounding::WidenBf16,
    .widen_fp16 = rounding::WidenFp16,
    .through_fp16 = rounding::ThroughFp16,
    .absmax = rounding::Absmax,
    .extremes = rounding::Extremes,
    .scale = rounding::Scale,
    .integers = rounding::Integers,
    .e4m3 = rounding::E4m3,
    .e2m1 = rounding::E2m1,
    .steps = rounding::Steps,
    .nibbles = rounding::Nibbles,
    .bf16_bins = rounding::Bf16BinsOf,
};

}  // namespace
}  // namespace qstore::codec
