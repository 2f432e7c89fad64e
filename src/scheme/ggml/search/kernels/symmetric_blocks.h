// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/group_loops.h"
#include "scheme/ggml/search/kernels/pack_loops.h"
#include "scheme/ggml/search/kernels/symmetric_loops.h"

// Q3_K and Q6_K.

namespace qstore::scheme::ggml {
namespace {

constexpr size_t kSixteenths = 16;  // Groups of a block, and weights of a group.

struct Q6K {
  static constexpr size_t kBytes = 210;
  static constexpr int32_t kTop = 32;

  static void PutBlock(const float* weights, const float* scales, const float* factors,
                       const float* nones, uint8_t* out) {
    const float largest = LargestScale(scales, kSixteenths);
    if (__builtin_fabsf(largest) < kLeastSize) {
      std::memset(out, 0, kBytes);
      return;
    }
    const float factor = -128.0f / largest;
    uint8_t* levels = out + 192;
    PutHalf(1 / factor, out + 208);
    const float unit = ThroughHalf(1 / factor);
    uint8_t codes[kBlockWeights];
    for (size_t j = 0; j < kSixteenths; ++j) {
      const int32_t level = SignedByte(MinOf(127, NearInt(factor * scales[j])));
      levels[j] = static_cast<uint8_t>(level);
      const float scale = unit * static_cast<float>(level);
      const float* group = weights + j * kSixteenths;
      uint8_t* at = codes + j * kSixteenths;
      if (scale != 0) {
        CodeByScale<kSixteenths>(group, scale, 0, -kTop, kTop - 1, kTop, at);
      } else {
        CodeSymmetric<kSixteenths>(group, factors[j], nones[j] != 0, kTop, at);
      }
    }
    PutCodes(codes, out);
  }

  static void PutCodes(const uint8_t* codes, uint8_t* out) {
    uint8_t high[kBlockWeights];
    for (size_t i = 0; i < kBlockWeights; ++i) high[i] = codes[i] >> 4;
    PackNibbles<64>(codes, kBlockWeights, out);
    PackPairs(high, kBlockWeights, out + 128);
  }
};

struct Q3K {
  static constexpr size_t kBytes = 110;
  static constexpr int32_t kTop = 4;
  static constexpr float kTopLevel = 32;

  // Levels, 32 added, with the unit that they count in.
  static float LevelsByMost(const float* scales, uint8_t* levels) {
    const float largest = LargestScale(scales, kSixteenths);
    if (largest == 0) {
      std::memset(levels, 0, kSixteenths);
      return 0;
    }
    const float factor = -kTopLevel / largest;
    for (size_t j = 0; j < kSixteenths; ++j) {
      const int32_t level = SignedByte(NearInt(factor * scales[j]));
      levels[j] = static_cast<uint8_t>(MaxOf(-32, MinOf(31, level)) + 32);
    }
    return 1 / factor;
  }

  // `codes` of the search are those of groups whose scale is 0.
  static void PutBlock(const float* weights, float unit, const uint8_t* levels, uint8_t* codes,
                       uint8_t* out) {
    for (size_t j = 0; j < kSixteenths; ++j) {
      const float scale = ThroughHalf(unit) * static_cast<float>(levels[j] - 32);
      if (scale == 0) continue;
      const size_t at = j * kSixteenths;
      CodeByScale<kSixteenths>(weights + at, scale, 0, -kTop, kTop - 1, kTop, codes + at);
    }
    PackBits<2>(codes, out);
    PackPairs(codes, kBlockWeights, out + 32);
    PackLevels3(levels, out + 96);
    PutHalf(unit, out + 108);
  }
};

// A symmetric search for the groups of at most kLanes blocks, of which the first is block `first`.
// The sums of the weights of errors are found only with `kWithSums`.
template <class Type, bool kWithSums>
inline void SearchSixteenths(const SearchedRows& rows, size_t first, size_t blocks,
                             const float* sigmas) {
  SearchScratch& scratch = *rows.scratch;
  const float* weights = rows.weights + first * kBlockWeights;
  const size_t groups = blocks * kSixteenths;
  for (size_t g = 0; g < groups; g += kLanes) {
    const size_t count = MinOf(kLanes, groups - g);
    LoadLanes<kSixteenths>(weights + g * kSixteenths, kSixteenths, count, scratch.weights);
    if (rows.importance != nullptr) {
      LoadRepeated<kSixteenths>(rows.importance, rows.columns, first * kSixteenths + g, count,
                                scratch.errors);
    } else {
      SquareErrors<kSixteenths>(scratch.weights, scratch.errors);
    }
    if constexpr (kWithSums) {
      WeighErrors<kSixteenths>(scratch.weights, Spread(sigmas, g, kSixteenths), scratch.errors);
      Store(SumErrors<kSixteenths>(scratch.errors), scratch.sums + g);
    }
    const SymmetricFound found =
        SearchSymmetric<kSixteenths>(Type::kTop, scratch.weights, scratch.errors, scratch.codes);
    Store(found.scale, scratch.scales + g);
    Store(found.factor, scratch.factors + g);
    Store(Select(found.is_none, All(1), All(0)), scratch.offsets + g);
  }
}

inline void QuantizeQ6K(const SearchedRows& rows) {
  SearchScratch& scratch = *rows.scratch;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = MinOf(kLanes, blocks - first);
    SearchSixteenths<Q6K, false>(rows, first, count, nullptr);
    for (size_t b = 0; b < count; ++b) {
      const size_t group = b * kSixteenths;
      Q6K::PutBlock(rows.weights + (first + b) * kBlockWeights, scratch.scales + group,
                    scratch.factors + group, scratch.offsets + group,
                    rows.out + (first + b) * Q6K::kBytes);
    }
  }
}

// Without importance: the codes of groups come out of the search.
inline void QuantizeQ3KByTurns(const SearchedRows& rows) {
  SearchScratch& scratch = *rows.scratch;
  const size_t groups = rows.rows * (rows.columns / kSixteenths);
  constexpr size_t kStep = MaxOf(kLanes, kSixteenths);
  for (size_t first = 0; first < groups; first += kStep) {
    uint8_t codes[kStep * kSixteenths];
    const size_t count = MinOf(kStep, groups - first);
    const float* weights = rows.weights + first * kSixteenths;
    for (size_t g = 0; g < count; g += kLanes) {
      LoadLanes<kSixteenths>(weights + g * kSixteenths, kSixteenths, MinOf(kLanes, count - g),
                             scratch.weights);
      Store(SearchByTurns<kSixteenths>(Q3K::kTop, scratch.weights, scratch.codes),
            scratch.scales + g);
      for (size_t i = 0; i < kSixteenths * kLanes; ++i) {
        codes[(g + i % kLanes) * kSixteenths + i / kLanes] =
            static_cast<uint8_t>(static_cast<int32_t>(scratch.codes[i]) + Q3K::kTop);
      }
    }
    for (size_t b = 0; b < count / kSixteenths; ++b) {
      uint8_t levels[kSixteenths];
      const float unit = Q3K::LevelsByMost(scratch.scales + b * kSixteenths, levels);
      Q3K::PutBlock(weights + b * kBlockWeights, unit, levels, codes + b * kBlockWeights,
                    rows.out + (first / kSixteenths + b) * Q3K::kBytes);
    }
  }
}

// Levels of as many blocks as there are lanes, by the symmetric search; their units.
inline void SearchQ3KLevels(SearchScratch* scratch, float* units) {
  for (size_t i = 0; i < kSixteenths * kLanes; ++i) {
    const size_t group = i % kLanes * kSixteenths + i / kLanes;
    scratch->weights[i] = scratch->scales[group];
    scratch->errors[i] = scratch->sums[group];
  }
  const SymmetricFound found = SearchSymmetric<kSixteenths>(Q3K::kTopLevel, scratch->weights,
                                                            scratch->errors, scratch->codes);
  Store(found.scale, units);
  alignas(64) float factors[kLanes], nones[kLanes];
  Store(found.factor, factors);
  Store(Select(found.is_none, All(1), All(0)), nones);
  for (size_t b = 0; b < kLanes; ++b) {
    CodeSymmetric<kSixteenths>(scratch->scales + b * kSixteenths, factors[b], nones[b] != 0, 32,
                               scratch->levels[0] + b * kSixteenths);
  }
}

inline void QuantizeQ3KByImportance(const SearchedRows& rows) {
  SearchScratch& scratch = *rows.scratch;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = MinOf(kLanes, blocks - first);
    const float* weights = rows.weights + first * kBlockWeights;
    alignas(64) float sigmas[kLanes], units[kLanes];
    SumSquares(weights, kBlockWeights, kBlockWeights, count, scratch.weights, sigmas);
    Store(All(2) * Load(sigmas) / All(kBlockWeights), sigmas);
    SearchSixteenths<Q3K, true>(rows, first, count, sigmas);
    SearchQ3KLevels(&scratch, units);
    for (size_t b = 0; b < count; ++b) {
      uint8_t codes[kBlockWeights];
      const size_t group = b * kSixteenths;
      for (size_t j = 0; j < kSixteenths; ++j) {
        CodeSymmetric<kSixteenths>(weights + (group + j) * kSixteenths, scratch.factors[group + j],
                                   scratch.offsets[group + j] != 0, Q3K::kTop,
                                   codes + j * kSixteenths);
      }
      Q3K::PutBlock(weights + b * kBlockWeights, units[b], scratch.levels[0] + group, codes,
                    rows.out + (first + b) * Q3K::kBytes);
    }
  }
}

inline void QuantizeQ3K(const SearchedRows& rows) {
  if (rows.importance == nullptr) return QuantizeQ3KByTurns(rows);
  QuantizeQ3KByImportance(rows);
}

}  // namespace
}  // namespace qstore::scheme::ggml
