// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/group_loops.h"
#include "scheme/ggml/search/kernels/listed_loops.h"
#include "scheme/ggml/search/kernels/pack_loops.h"
#include "scheme/ggml/search/kernels/plain_loops.h"

// IQ4_NL and IQ4_XS.

namespace qstore::scheme::ggml {
namespace {

constexpr size_t kListedElems = 32;

// The scales of groups, of which the first is group `first` of all, and `groups` at most kLanes.
// `sigma`: by lane; of no meaning without importance.
inline void SearchListedGroups(const SearchedRows& rows, size_t first, size_t groups,
                               const Floats& sigma, float* scales) {
  SearchScratch& scratch = *rows.scratch;
  LoadLanes<kListedElems>(rows.weights + first * kListedElems, kListedElems, groups,
                          scratch.weights);
  if (rows.importance != nullptr) {
    LoadRepeated<kListedElems>(rows.importance, rows.columns, first, groups, scratch.errors);
    WeighErrors<kListedElems>(scratch.weights, sigma, scratch.errors);
  } else {
    SquareErrors<kListedElems>(scratch.weights, scratch.errors);
  }
  Store(SearchListed<kListedElems>(scratch.weights, scratch.errors), scales);
}

inline void QuantizeIq4Nl(const SearchedRows& rows) {
  constexpr size_t kBytes = 18;
  const size_t groups = rows.rows * (rows.columns / kListedElems);
  for (size_t g = 0; g < groups; g += kLanes) {
    const size_t count = MinOf(kLanes, groups - g);
    const float* weights = rows.weights + g * kListedElems;
    alignas(64) float scales[kLanes];
    SumSquares(weights, kListedElems, kListedElems, count, rows.scratch->weights, scales);
    SearchListedGroups(rows, g, count, Load(scales) * All(2.0f / kListedElems), scales);
    for (size_t lane = 0; lane < count; ++lane) {
      uint8_t codes[kListedElems];
      uint8_t* out = rows.out + (g + lane) * kBytes;
      CodeListed(weights + lane * kListedElems, Inverse(scales[lane]), codes);
      PutHalf(scales[lane], out);
      PackNibbles<16>(codes, kListedElems, out + 2);
    }
  }
}

inline void PutIq4XsBlock(const float* weights, const float* scales, uint8_t* out) {
  constexpr size_t kGroups = kBlockWeights / kListedElems;
  const float unit = -LargestScale(scales, kGroups) / 32;
  const float factor = Inverse(unit);
  PutHalf(unit, out);
  std::memset(out + 2, 0, 6);
  for (size_t j = 0; j < kGroups; ++j) {
    const int32_t level = NearInt(factor * scales[j], -32, 31);
    const float scale = unit * static_cast<float>(level);
    uint8_t codes[kListedElems];
    CodeListed(weights + j * kListedElems, Inverse(scale), codes);
    PackNibbles<16>(codes, kListedElems, out + 8 + 16 * j);
    const int32_t bits = level + 32;
    uint8_t* high = out + 2 + j / 4;
    uint8_t* low = out + 4 + j / 2;
    *high = static_cast<uint8_t>(*high | bits >> 4 << 2 * (j % 4));
    *low = static_cast<uint8_t>(*low | (bits & 15) << 4 * (j % 2));
  }
}

inline void QuantizeIq4Xs(const SearchedRows& rows) {
  constexpr size_t kGroups = kBlockWeights / kListedElems;
  constexpr size_t kBytes = 136;
  SearchScratch& scratch = *rows.scratch;
  const size_t blocks = rows.rows * (rows.columns / kBlockWeights);
  for (size_t first = 0; first < blocks; first += kLanes) {
    const size_t count = MinOf(kLanes, blocks - first);
    const float* weights = rows.weights + first * kBlockWeights;
    alignas(64) float sigmas[kLanes] = {};
    if (rows.importance != nullptr) {
      SumSquares(weights, kBlockWeights, kBlockWeights, count, scratch.weights, sigmas);
      Store(Load(sigmas) * All(2.0f / kBlockWeights), sigmas);
    }
    for (size_t g = 0; g < count * kGroups; g += kLanes) {
      const size_t groups = MinOf(kLanes, count * kGroups - g);
      SearchListedGroups(rows, first * kGroups + g, groups, Spread(sigmas, g, kGroups),
                         scratch.scales + g);
    }
    for (size_t b = 0; b < count; ++b) {
      PutIq4XsBlock(weights + b * kBlockWeights, scratch.scales + b * kGroups,
                    rows.out + (first + b) * kBytes);
    }
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
