// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "codec/kernels/kernels.h"
#include "codec/kernels/portable_loops.h"

// The bins of a BF16 row, all at once and without branches; compiled anew, with internal linkage,
// for every instruction set that includes this file. Plain loops of fixed length: the compiler
// vectorizes them. Short rows spend much of their time here.

namespace qstore::codec {
namespace {
namespace loops {

// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, below 2^22; larger values
// stay at or above 2^22, which is all a comparison with k <= 128 needs.
inline float RoundHalfEven(float x) {
  constexpr float kMagic = 12582912.0f;
  return x + kMagic - kMagic;
}

// first[k], k = 1 to 128, as the grid of LLM.int8() (scheme/llm_int8/int8_grid.h) defines it: a
// boundary computed in floating point is at most a pattern away. False when a check of the result
// fails.
inline bool FindBf16(float absmax, uint32_t* first) {
  const float scale = 127.0f / absmax;
  const float step = absmax / 127.0f;
  uint32_t bad = 0;
  for (uint32_t k = 1; k <= kBinCount; ++k) {
    const auto bound = static_cast<float>(static_cast<int>(k));
    const uint32_t guess = (FloatBits((bound - 0.5f) * step) >> 16) - 1;
    const float at0 = RoundHalfEven(FloatFrom(guess << 16) * scale);
    const float at1 = RoundHalfEven(FloatFrom((guess + 1) << 16) * scale);
    const float at2 = RoundHalfEven(FloatFrom((guess + 2) << 16) * scale);
    const float at3 = RoundHalfEven(FloatFrom((guess + 3) << 16) * scale);
    const uint32_t below1 = at1 < bound;
    const uint32_t below2 = at2 < bound;
    bad |= static_cast<uint32_t>(!(at0 < bound)) | static_cast<uint32_t>(!(at3 >= bound));
    first[k] = guess + 1 + below1 + below2;
  }
  return bad == 0 && first[kBinCount] <= 0x7f80 && first[1] > 0x80;
}

// The table of bins that begin at first[k], k = 1 to 128. REQUIRES: 1 <= shift + 1 <= 8.
inline void SetBinTable(uint32_t first[kBinCount + 1], unsigned shift, BinTable8* table) {
  constexpr uint32_t kMostCodes = 255;
  first[0] = first[1];  // Bin 0, of both signs, has no index.
  const uint32_t round = (1u << shift) - 1;
  for (uint32_t k = 0; k < kBinCount; ++k) {
    const uint32_t low = (first[k] + round) >> shift;
    const uint32_t count = ((first[k + 1] + round) >> shift) - low;
    const uint32_t wide = count - 1 >= kMostCodes ? ~0u : 0;  // So is 0.
    const uint32_t codes = (count & ~wide) | (1 & wide);
    // The exponent of a float is the logarithm.
    const uint32_t bits = FloatBits(static_cast<float>(static_cast<int>(codes)));
    const auto power = static_cast<uint32_t>(static_cast<int>(FloatFrom(bits & 0xff800000)));
    table->first[k] = static_cast<uint16_t>((low & ~wide) | (kWideBin & wide));
    table->width[k] = static_cast<uint8_t>((bits >> 23) - 127);
    table->threshold[k] = static_cast<uint8_t>(2 * power - codes);
  }
}

inline bool Bf16Bins(float absmax, unsigned shift, BinTable8* table) {
  uint32_t first[kBinCount + 1];
  if (!FindBf16(absmax, first)) return false;
  SetBinTable(first, shift, table);
  return true;
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
