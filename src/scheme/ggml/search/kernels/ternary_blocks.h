// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/group_loops.h"
#include "scheme/ggml/search/kernels/pack_loops.h"
#include "scheme/ggml/search/kernels/plain_loops.h"

// TQ1_0 and TQ2_0: codes of three values.

namespace qstore::scheme::ggml {
namespace {

// Codes of 256 weights, the scale of which is given back.
inline float CodeTernary(const float* weights, uint8_t* codes) {
  const float scale = LastingSize(weights, kBlockWeights);
  const float factor = Inverse(scale);
  int32_t wide[kBlockWeights];
  for (size_t i = 0; i < kBlockWeights; ++i) wide[i] = CutRounded(weights[i] * factor) + 1;
  for (size_t i = 0; i < kBlockWeights; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
  return scale;
}

// `count` bytes of five codes each, `count` apart; of `kDigits` codes and zeros behind them.
template <size_t kDigits>
inline void PackTernary(const uint8_t* codes, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t value = 0;
    for (size_t k = 0; k < 5; ++k) {
      value = value * 3 + (k < kDigits ? codes[k * count + i] : 0);
    }
    out[i] = static_cast<uint8_t>(((value & 255) * 256 + 242) / 243);
  }
}

inline void QuantizeTq1(const SearchedRows& rows) {
  constexpr size_t kBytes = 54;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t b = 0; b < blocks; ++b) {
    uint8_t* out = rows.out + b * kBytes;
    uint8_t codes[kBlockWeights];
    const float scale = CodeTernary(rows.weights + b * kBlockWeights, codes);
    PackTernary<5>(codes, 32, out);
    PackTernary<5>(codes + 160, 16, out + 32);
    PackTernary<4>(codes + 240, 4, out + 48);
    PutHalf(scale, out + 52);
  }
}

inline void QuantizeTq2(const SearchedRows& rows) {
  constexpr size_t kBytes = 66;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t b = 0; b < blocks; ++b) {
    uint8_t* out = rows.out + b * kBytes;
    uint8_t codes[kBlockWeights];
    const float scale = CodeTernary(rows.weights + b * kBlockWeights, codes);
    PackPairs(codes, kBlockWeights, out);
    PutHalf(scale, out + 64);
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
