// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/affine_loops.h"
#include "scheme/ggml/search/kernels/group_loops.h"
#include "scheme/ggml/search/kernels/level_loops.h"
#include "scheme/ggml/search/kernels/pack_loops.h"

// Q2_K, Q4_K and Q5_K.

namespace qstore::scheme::ggml {
namespace {

struct Q2K {
  static constexpr size_t kGroups = 16;
  static constexpr size_t kBytes = 84;
  static constexpr bool kAbsolute = true;
  static constexpr int32_t kTop = 3;
  static constexpr float kTopLevel = 15;
  static constexpr AffineRule kRule = {kTop, -0.5f, 0.1f, 15};
  static constexpr float kSigma = 1;

  static constexpr bool IsLimited(bool /*has_importance*/) { return false; }

  // The levels of a block, as they are read from its bytes.
  static void PutLevels(uint8_t* scales, uint8_t* minima, uint8_t* out) {
    for (size_t j = 0; j < kGroups; ++j) {
      out[j] = static_cast<uint8_t>(scales[j] | minima[j] << 4);
      scales[j] = out[j] & 15;
      minima[j] = out[j] >> 4;
    }
  }
  static void PutScales(float scale, float minimum, uint8_t* out) {
    PutHalf(scale, out + 80);
    PutHalf(minimum, out + 82);
  }
  static void PutCodes(const uint8_t* codes, uint8_t* out) {
    PackPairs(codes, kBlockWeights, out + 16);
  }
};

struct Q4K {
  static constexpr size_t kGroups = 8;
  static constexpr size_t kBytes = 144;
  static constexpr bool kAbsolute = false;
  static constexpr int32_t kTop = 15;
  static constexpr float kTopLevel = 63;
  static constexpr AffineRule kRule = {kTop, -1.0f, 0.1f, 20};
  static constexpr float kSigma = 2;

  static constexpr bool IsLimited(bool has_importance) { return !has_importance; }

  static void PutLevels(uint8_t* scales, uint8_t* minima, uint8_t* out) {
    PackLevels6(scales, minima, out + 4);
    UnpackLevels6(out + 4, scales, minima);
  }
  static void PutScales(float scale, float minimum, uint8_t* out) {
    PutHalf(scale, out);
    PutHalf(minimum, out + 2);
  }
  static void PutCodes(const uint8_t* codes, uint8_t* out) {
    PackNibbles<32>(codes, kBlockWeights, out + 16);
  }
};

struct Q5K : Q4K {
  static constexpr size_t kBytes = 176;
  static constexpr int32_t kTop = 31;
  static constexpr AffineRule kRule = {kTop, -0.5f, 0.1f, 15};

  static constexpr bool IsLimited(bool /*has_importance*/) { return true; }

  static void PutCodes(const uint8_t* codes, uint8_t* out) {
    PackBits<4>(codes, out + 16);
    PackNibbles<32>(codes, kBlockWeights, out + 48);
  }
};

// What the errors of a group are multiplied by, without importance.
template <class Type>
inline void SetErrors(const float* weights, float* errors) {
  constexpr size_t kElems = kBlockWeights / Type::kGroups;
  Floats mean = All(0);
  if constexpr (!Type::kAbsolute) {
    for (size_t i = 0; i < kElems; ++i) {
      const Floats x = Load(weights + i * kLanes);
      mean = mean + x * x;
    }
    mean = Sqrt(mean / All(static_cast<float>(kElems)));
  }
  for (size_t i = 0; i < kElems; ++i) {
    const Floats size = Abs(Load(weights + i * kLanes));
    Store(Type::kAbsolute ? size : mean + size, errors + i * kLanes);
  }
}

// The groups of at most kLanes blocks, of which the first is block `first` of all.
template <class Type>
inline void SearchGroups(const SearchedRows& rows, size_t first, size_t blocks) {
  constexpr size_t kElems = kBlockWeights / Type::kGroups;
  SearchScratch& scratch = *rows.scratch;
  const float* weights = rows.weights + first * kBlockWeights;
  alignas(64) float sigmas[kLanes];
  if (rows.importance != nullptr) {
    SumSquares(weights, kBlockWeights, kBlockWeights, blocks, scratch.weights, sigmas);
    Store(All(Type::kSigma) * Load(sigmas) / All(kBlockWeights), sigmas);
  }
  const size_t groups = blocks * Type::kGroups;
  for (size_t g = 0; g < groups; g += kLanes) {
    const size_t count = MinOf(kLanes, groups - g);
    LoadLanes<kElems>(weights + g * kElems, kElems, count, scratch.weights);
    AffineFound found;
    if (rows.importance != nullptr) {
      LoadRepeated<kElems>(rows.importance, rows.columns, first * Type::kGroups + g, count,
                           scratch.errors);
      WeighErrors<kElems>(scratch.weights, Spread(sigmas, g, Type::kGroups), scratch.errors);
      found = SearchAffine<kElems>(ImportanceRule(Type::kTop), scratch.weights, scratch.errors,
                                   scratch.codes);
    } else {
      SetErrors<Type>(scratch.weights, scratch.errors);
      found = SearchAffine<kElems, Type::kAbsolute>(Type::kRule, scratch.weights, scratch.errors,
                                                    scratch.codes);
    }
    Store(found.scale, scratch.scales + g);
    Store(-found.floor, scratch.floors + g);
    Store(found.factor, scratch.factors + g);
    Store(found.offset, scratch.offsets + g);
    Store(found.sum, scratch.sums + g);
  }
}

// Levels of one block by the greatest of its values; the value of a level.
inline float LevelsByMost(float top, size_t groups, const float* values, uint8_t* levels) {
  float most = 0;
  for (size_t j = 0; j < groups; ++j) most = values[j] > most ? values[j] : most;
  const float factor = most > 0 ? top / most : 0.0f;
  for (size_t j = 0; j < groups; ++j) levels[j] = static_cast<uint8_t>(NearInt(factor * values[j]));
  return most / top;
}

// Levels of as many blocks as there are lanes; the values of levels.
inline void LevelsBySearch(float top, size_t groups, const float* values, SearchScratch* scratch,
                           uint8_t* levels, float* units) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    for (size_t j = 0; j < groups; ++j) {
      scratch->weights[j * kLanes + lane] = values[lane * groups + j];
      scratch->errors[j * kLanes + lane] = scratch->sums[lane * groups + j];
    }
  }
  Store(SearchLevels(top, groups, scratch->weights, scratch->errors, scratch->codes), units);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    for (size_t j = 0; j < groups; ++j) {
      levels[lane * groups + j] = static_cast<uint8_t>(scratch->codes[j * kLanes + lane]);
    }
  }
}

template <class Type>
inline void PutAffineBlock(const float* weights, const SearchScratch& scratch, size_t first_group,
                           float unit, float minimum_unit, uint8_t* scales, uint8_t* minima,
                           uint8_t* out) {
  constexpr size_t kElems = kBlockWeights / Type::kGroups;
  Type::PutScales(unit, minimum_unit, out);
  Type::PutLevels(scales, minima, out);
  uint8_t codes[kBlockWeights];
  for (size_t j = 0; j < Type::kGroups; ++j) {
    const float scale = ThroughHalf(unit) * static_cast<float>(scales[j]);
    const float minimum = ThroughHalf(minimum_unit) * static_cast<float>(minima[j]);
    const float* group = weights + j * kElems;
    if (scale != 0) {
      CodeByScale<kElems>(group, scale, minimum, 0, Type::kTop, 0, codes + j * kElems);
    } else {
      CodeByFactor<kElems>(group, scratch.factors[first_group + j],
                           scratch.offsets[first_group + j], Type::kTop, codes + j * kElems);
    }
  }
  Type::PutCodes(codes, out);
}

template <class Type>
inline void QuantizeAffineBlocks(const SearchedRows& rows) {
  SearchScratch& scratch = *rows.scratch;
  const bool has_importance = rows.importance != nullptr;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = MinOf(kLanes, blocks - first);
    SearchGroups<Type>(rows, first, count);
    alignas(64) float units[2][kLanes];
    for (size_t side = 0; side < 2; ++side) {
      const float* values = side == 0 ? scratch.scales : scratch.floors;
      uint8_t* levels = scratch.levels[side];
      if (has_importance) {
        LevelsBySearch(Type::kTopLevel, Type::kGroups, values, &scratch, levels, units[side]);
      } else {
        for (size_t b = 0; b < count; ++b) {
          units[side][b] = LevelsByMost(Type::kTopLevel, Type::kGroups, values + b * Type::kGroups,
                                        levels + b * Type::kGroups);
        }
      }
      if (!Type::IsLimited(has_importance)) continue;
      for (size_t g = 0; g < count * Type::kGroups; ++g) {
        levels[g] = MinOf(levels[g], static_cast<uint8_t>(Type::kTopLevel));
      }
    }
    for (size_t b = 0; b < count; ++b) {
      const size_t group = b * Type::kGroups;
      PutAffineBlock<Type>(rows.weights + (first + b) * kBlockWeights, scratch, group, units[0][b],
                           units[1][b], scratch.levels[0] + group, scratch.levels[1] + group,
                           rows.out + (first + b) * Type::kBytes);
    }
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
