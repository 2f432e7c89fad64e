// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/affine_loops.h"
#include "scheme/ggml/search/kernels/group_loops.h"
#include "scheme/ggml/search/kernels/pack_loops.h"
#include "scheme/ggml/search/kernels/plain_loops.h"
#include "scheme/ggml/search/kernels/symmetric_loops.h"

// Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0: blocks of 32 weights with a scale, and a floor or none.

namespace qstore::scheme::ggml {
namespace {

constexpr size_t kSmall = 32;

template <int32_t kBits, bool kHasFloor>
struct SmallType {
  static constexpr bool kIsAffine = kHasFloor;
  static constexpr int32_t kCodes = 1 << kBits;
  static constexpr float kHalf = kBits == 5 ? 16 : 8;
  static constexpr size_t kScales = kHasFloor ? 4 : 2;
  static constexpr size_t kFifth = kBits == 5 ? 4 : 0;
  static constexpr size_t kBytes = kScales + kFifth + kSmall / 2;

  static void Put(float scale, float floor, const uint8_t* codes, uint8_t* out) {
    PutHalf(scale, out);
    if constexpr (kHasFloor) PutHalf(floor, out + 2);
    if constexpr (kFifth != 0) PackFifthBits(codes, out + kScales);
    PackNibbles<16>(codes, kSmall, out + kScales + kFifth);
  }
};

// Codes of a byte with a sign each, and at most `most`; other bits than those stored can be set.
inline void CodeCut(const float* weights, float floor, float factor, float shift, int32_t most,
                    uint8_t* codes) {
  int32_t wide[kSmall];
  for (size_t i = 0; i < kSmall; ++i) {
    wide[i] = MinOf(most, SignedByte(Cut((weights[i] - floor) * factor + shift)));
  }
  for (size_t i = 0; i < kSmall; ++i) codes[i] = static_cast<uint8_t>(wide[i]);
}

template <class Type>
inline void PutPlainBlock(const float* weights, uint8_t* out) {
  uint8_t codes[kSmall];
  if constexpr (Type::kIsAffine) {
    const Extremes found = FindExtremes(weights, kSmall);
    const float scale = (found.high - found.low) / (Type::kCodes - 1);
    // Of codes of five bits the low ones are taken, whatever they are.
    const int32_t most = Type::kFifth != 0 ? 127 : Type::kCodes - 1;
    CodeCut(weights, found.low, Inverse(scale), 0.5f, most, codes);
    Type::Put(scale, found.low, codes, out);
  } else {
    const float scale = LargestNumber(weights, kSmall) / -Type::kHalf;
    constexpr float kShift = Type::kHalf + 0.5f;
    CodeCut(weights, 0, Inverse(scale), kShift, Type::kCodes - 1, codes);
    Type::Put(scale, 0, codes, out);
  }
}

// Blocks of at most kLanes rows, which have one sigma each.
template <class Type>
inline void SearchSmallRows(const SearchedRows& rows, size_t first, size_t count) {
  SearchScratch& scratch = *rows.scratch;
  const size_t blocks_of_row = rows.columns / kSmall;
  const size_t blocks = count * blocks_of_row;
  const float* weights = rows.weights + first * rows.columns;
  uint8_t* out = rows.out + first * blocks_of_row * Type::kBytes;
  alignas(64) float sigmas[kLanes];
  SumSquares(weights, rows.columns, rows.columns, count, scratch.weights, sigmas);
  Store(Load(sigmas) / All(static_cast<float>(rows.columns)), sigmas);
  for (size_t g = 0; g < blocks; g += kLanes) {
    const size_t lanes = MinOf(kLanes, blocks - g);
    LoadLanes<kSmall>(weights + g * kSmall, kSmall, lanes, scratch.weights);
    LoadRepeated<kSmall>(rows.importance, rows.columns, g, lanes, scratch.errors);
    WeighErrors<kSmall>(scratch.weights, Spread(sigmas, g, blocks_of_row), scratch.errors);
    constexpr int32_t kTop = Type::kIsAffine ? Type::kCodes - 1 : Type::kCodes / 2;
    if constexpr (Type::kIsAffine) {
      const AffineFound found = SearchAffine<kSmall>(ImportanceRule(kTop), scratch.weights,
                                                     scratch.errors, scratch.codes);
      Store(found.scale, scratch.scales);
      Store(found.floor, scratch.floors);
      Store(found.factor, scratch.factors);
      Store(found.offset, scratch.offsets);
    } else {
      const SymmetricFound found =
          SearchSymmetric<kSmall>(kTop, scratch.weights, scratch.errors, scratch.codes);
      Store(found.scale, scratch.scales);
      Store(found.factor, scratch.factors);
      Store(Select(found.is_none, All(1), All(0)), scratch.offsets);
    }
    for (size_t lane = 0; lane < lanes; ++lane) {
      uint8_t codes[kSmall];
      const float* block = weights + (g + lane) * kSmall;
      const float factor = scratch.factors[lane], offset = scratch.offsets[lane];
      if constexpr (Type::kIsAffine) {
        CodeByFactor<kSmall>(block, factor, offset, kTop, codes);
      } else {
        CodeSymmetric<kSmall>(block, factor, offset != 0, kTop, codes);
      }
      Type::Put(scratch.scales[lane], scratch.floors[lane], codes, out + (g + lane) * Type::kBytes);
    }
  }
}

template <class Type>
inline void QuantizeSmall(const SearchedRows& rows) {
  if (rows.importance != nullptr) {
    for (size_t row = 0; row < rows.rows; row += kLanes) {
      SearchSmallRows<Type>(rows, row, MinOf(kLanes, rows.rows - row));
    }
    return;
  }
  const size_t blocks = rows.rows * (rows.columns / kSmall);
  for (size_t b = 0; b < blocks; ++b) {
    PutPlainBlock<Type>(rows.weights + b * kSmall, rows.out + b * Type::kBytes);
  }
}

inline void QuantizeQ8(const SearchedRows& rows) {
  constexpr size_t kBytes = 34;
  const size_t blocks = rows.rows * (rows.columns / kSmall);
  for (size_t b = 0; b < blocks; ++b) {
    const float* weights = rows.weights + b * kSmall;
    uint8_t* out = rows.out + b * kBytes;
    const float scale = LastingSize(weights, kSmall) / 127;
    const float factor = Inverse(scale);
    PutHalf(scale, out);
    int32_t codes[kSmall];
    for (size_t i = 0; i < kSmall; ++i) codes[i] = CutRounded(weights[i] * factor);
    for (size_t i = 0; i < kSmall; ++i) out[2 + i] = static_cast<uint8_t>(codes[i]);
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
