// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/bin_table_loops.h"
#include "codec/kernels/half_loops.h"
#include "codec/kernels/round_kernels.h"
#include "codec/kernels/widen_loops.h"

// Plain loops that the compiler vectorizes; compiled anew, with internal linkage, for every
// instruction set that includes this file.

namespace qstore::codec {
namespace {
namespace rounding {

using loops::RoundHalfEven;

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

inline void ScaleCentered(const float* values, const ScaledRuns& runs, float* out) {
  for (size_t r = 0; r < runs.run_count; ++r, values += runs.run_elems, out += runs.run_elems) {
    const float factor = runs.factors[r];
    const float zero = runs.zeros[r];
    for (size_t i = 0; i < runs.run_elems; ++i) out[i] = (values[i] - zero) / factor;
  }
}

inline void Scale(const float* values, const ScaledRuns& runs, const Scaling& how, float* out) {
  if (how.centered) return ScaleCentered(values, runs, out);
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

// A sum with 2^20 times the power of two at or below a number, and not below 2^-6, has the spacing
// of the E4M3 numbers there: adding rounds, half to even. Of a sum with an even number of spacings.
inline void E4m3(const float* values, size_t count, uint8_t* codes) {
  constexpr uint32_t kLargest = 0x43e00000;      // 448.
  constexpr uint32_t kLeastNormal = 0x3c800000;  // 2^-6.
  constexpr uint32_t kInfinity = 0x7f800000;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const uint32_t magnitude = bits & kMagnitude;
    const uint32_t clamped = magnitude < kLargest ? magnitude : kLargest;
    const uint32_t power = clamped & kInfinity;
    const uint32_t binade = power > kLeastNormal ? power : kLeastNormal;
    const uint32_t shift = binade + (20u << 23);
    const uint32_t steps = FloatBits(FloatFrom(clamped) + FloatFrom(shift)) - shift;
    const uint32_t number = steps + ((binade - kLeastNormal) >> 20);
    const uint32_t is_nan = 0u - static_cast<uint32_t>(magnitude > kInfinity);
    codes[i] = static_cast<uint8_t>(number | (is_nan & 0x7f) | (bits >> 24 & 0x80));
  }
}

// The same with 2^22 and not below 1, as there is one bit of mantissa.
inline void E2m1(const float* values, size_t count, uint8_t* codes) {
  constexpr uint32_t kLargest = 0x40c00000;      // 6.
  constexpr uint32_t kLeastNormal = 0x3f800000;  // 1.
  constexpr uint32_t kInfinity = 0x7f800000;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatBits(values[i]);
    const uint32_t magnitude = bits & kMagnitude;
    const uint32_t clamped = magnitude < kLargest ? magnitude : kLargest;
    const uint32_t power = clamped & kInfinity;
    const uint32_t binade = power > kLeastNormal ? power : kLeastNormal;
    const uint32_t shift = binade + (22u << 23);
    const uint32_t steps = FloatBits(FloatFrom(clamped) + FloatFrom(shift)) - shift;
    const uint32_t number = steps + ((binade - kLeastNormal) >> 22);
    const uint32_t has_sign = 0u - static_cast<uint32_t>(magnitude >= kSmall);
    codes[i] = static_cast<uint8_t>(number | (bits >> 28 & 8 & has_sign));
  }
}

// Eight lanes, which the compiler makes of what the machine has.
using Floats8 = float __attribute__((vector_size(32)));
using Ints8 = int32_t __attribute__((vector_size(32)));

// How many steps are below each of eight numbers; small ones count as 0.
inline void StepsOf8(const float* values, const float steps[kTableSteps], int32_t* places) {
  Ints8 bits;
  std::memcpy(&bits, values, sizeof(bits));
  bits &= (bits & static_cast<int32_t>(kMagnitude)) >= static_cast<int32_t>(kSmall);
  Floats8 numbers;
  std::memcpy(&numbers, &bits, sizeof(bits));
  Ints8 below = {};
  for (size_t s = 0; s < kTableSteps; ++s) below -= numbers > steps[s];
  std::memcpy(places, &below, sizeof(below));
}

inline void Steps(const float* values, size_t count, const float steps[kTableSteps],
                  uint8_t* codes) {
  constexpr size_t kStrip = 256;
  int32_t places[kStrip];
  while (count > 0) {
    const size_t strip = count < kStrip ? count : kStrip;
    const size_t whole = strip - strip % 8;
    for (size_t i = 0; i < whole; i += 8) StepsOf8(values + i, steps, places + i);
    if (whole < strip) {
      float last[8] = {};
      std::memcpy(last, values + whole, (strip - whole) * sizeof(float));
      StepsOf8(last, steps, places + whole);
    }
    for (size_t i = 0; i < strip; ++i) codes[i] = static_cast<uint8_t>(places[i]);
    values += strip;
    codes += strip;
    count -= strip;
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
    .bf16_through_fp16 = rounding::Bf16ThroughFp16,
    .absmax = rounding::Absmax,
    .bf16_absmax = rounding::Bf16Absmax,
    .extremes = rounding::Extremes,
    .bf16_extremes = rounding::Bf16Extremes,
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
