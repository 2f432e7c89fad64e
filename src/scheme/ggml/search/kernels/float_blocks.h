// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/lanes.h"
#include "scheme/ggml/search/kernels/pack_loops.h"
#include "scheme/ggml/search/kernels/plain_loops.h"
#include "scheme/ggml/search/kernels/search_kernels.h"

// MXFP4 and NVFP4: codes of four bits that stand for floats.

namespace qstore::scheme::ggml {
namespace {

// Twice the numbers of E2M1.
constexpr float kTwiceE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The first of the codes with the least error.
template <size_t kElems>
inline void CodeE2m1(const float* weights, float scale, uint8_t* codes) {
  static_assert(kElems % kPartLanes == 0);
  int32_t wide[kElems];
  for (size_t i = 0; i < kElems; i += kPartLanes) {
    FloatPart x;
    std::memcpy(&x, weights + i, sizeof(x));
    FloatPart least = AbsPart(kTwiceE2m1[0] * scale - x);
    IntPart best = {};
    for (int32_t k = 1; k < 16; ++k) {
      const FloatPart error = AbsPart(kTwiceE2m1[k] * scale - x);
      const IntPart is_less = error < least;
      least = is_less ? error : least;
      best = is_less ? IntPart{} + k : best;
    }
    std::memcpy(wide + i, &best, sizeof(best));
  }
  for (size_t i = 0; i < kElems; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

inline void QuantizeMxfp4(const SearchedRows& rows) {
  constexpr size_t kElems = 32;
  constexpr size_t kBytes = 17;
  const size_t blocks = rows.rows * (rows.columns / kElems);
  for (size_t b = 0; b < blocks; ++b) {
    const float* weights = rows.weights + b * kElems;
    uint8_t* out = rows.out + b * kBytes;
    const float size = LargestSize(weights, kElems);
    out[0] = static_cast<uint8_t>(size > 0 && size < __builtin_inff() ? FloorLog2(size) + 125 : 0);
    // 2^(e - 128), of which the least two are subnormals.
    const uint32_t e = out[0];
    const float scale = FloatOf(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    uint8_t codes[kElems];
    CodeE2m1<kElems>(weights, scale, codes);
    PackNibbles<16>(codes, kElems, out + 1);
  }
}

// The E4M3 code, without a sign, of a number.
inline uint8_t RoundToE4m3(float value) {
  constexpr int32_t kMost = 126;
  if (!(value > 0)) return 0;
  const uint32_t bits = BitsOf(value);
  const auto exponent = static_cast<int32_t>(bits >> 23) - 127 + 7;
  if (exponent <= 0) {
    const int32_t steps = Cut(value * 512.0f + 0.5f);
    return static_cast<uint8_t>(MinOf(steps, 7));
  }
  if (exponent >= 15) return kMost;
  // The carry of rounding moves into the exponent.
  const auto rounded = exponent * 8 + static_cast<int32_t>((bits >> 20 & 7) + (bits >> 19 & 1));
  return static_cast<uint8_t>(rounded >= 15 * 8 ? kMost : rounded);
}

// Half of the number of such a code.
inline float HalfOfE4m3(uint8_t code) {
  const uint32_t exponent = code >> 3;
  const uint32_t mantissa = code & 7;
  if (exponent == 0) return static_cast<float>(static_cast<int32_t>(mantissa)) * 0x1p-10f;
  return FloatOf((exponent + 127 - 7 - 1) << 23 | mantissa << 20);
}

inline void QuantizeNvfp4(const SearchedRows& rows) {
  constexpr size_t kElems = 16;
  constexpr size_t kGroups = 4;
  constexpr size_t kBytes = kGroups + kGroups * kElems / 2;
  const size_t blocks = rows.rows * (rows.columns / (kElems * kGroups));
  for (size_t b = 0; b < blocks; ++b) {
    uint8_t* out = rows.out + b * kBytes;
    for (size_t j = 0; j < kGroups; ++j) {
      const float* weights = rows.weights + (b * kGroups + j) * kElems;
      out[j] = RoundToE4m3(LargestSize(weights, kElems) / 6.0f);
      uint8_t codes[kElems];
      CodeE2m1<kElems>(weights, HalfOfE4m3(out[j]), codes);
      PackNibbles<8>(codes, kElems, out + kGroups + j * kElems / 2);
    }
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
