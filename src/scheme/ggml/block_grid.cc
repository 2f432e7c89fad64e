// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/block_grid.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "base/isa.h"
#include "scheme/ggml/kernels/grid_kernels.h"
#include "scheme/grid/near_coder.h"

namespace qstore::scheme::ggml {
namespace {

using Streams = const uint8_t* const*;

constexpr std::array<int8_t, 16> kTable = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};
// Magnitudes of E2M1, twice.
constexpr std::array<int8_t, 8> kMini = {0, 1, 2, 3, 4, 6, 8, 12};

float Half(const uint8_t* stream, size_t i) {
  return base::Fp16ToFloat(base::LoadLe<uint16_t>(stream + 2 * i));
}

void StepOnly(Streams streams, size_t count, float* steps, float*) {
  for (size_t b = 0; b < count; ++b) steps[b] = Half(streams[0], b);
}

void StepAndMinimum(Streams streams, size_t count, float* steps, float* offsets) {
  for (size_t b = 0; b < count; ++b) {
    steps[b] = Half(streams[0], b);
    offsets[b] = Half(streams[1], b);
  }
}

// Of a stream's symbols no more bits count than a block has room for.
template <size_t kSubs, unsigned kMask>
void ScaledPairs(Streams streams, size_t count, float* steps, float* offsets) {
  for (size_t b = 0; b < count; ++b) {
    const float step = Half(streams[0], b);
    const float minimum = Half(streams[1], b);
    for (size_t k = kSubs * b; k < kSubs * (b + 1); ++k) {
      steps[k] = step * static_cast<float>(streams[2][k] & kMask);
      offsets[k] = -(minimum * static_cast<float>(streams[3][k] & kMask));
    }
  }
}

// Scales of six bits that count from -32.
template <size_t kSubs>
void ScaledFrom32(Streams streams, size_t count, float* steps, float*) {
  for (size_t b = 0; b < count; ++b) {
    const float step = Half(streams[0], b);
    for (size_t k = kSubs * b; k < kSubs * (b + 1); ++k) {
      steps[k] = step * static_cast<float>(static_cast<int>(streams[1][k] & 63) - 32);
    }
  }
}

void ScaledSigned(Streams streams, size_t count, float* steps, float*) {
  for (size_t b = 0; b < count; ++b) {
    const float step = Half(streams[0], b);
    for (size_t k = 16 * b; k < 16 * (b + 1); ++k) {
      steps[k] = step * static_cast<float>(static_cast<int8_t>(streams[1][k]));
    }
  }
}

// Half of a power of two.
void HalfPowers(Streams streams, size_t count, float* steps, float*) {
  for (size_t b = 0; b < count; ++b) {
    const uint32_t e = streams[0][b];
    steps[b] = std::bit_cast<float>(e < 2 ? uint32_t{0x00200000} << e : (e - 1) << 23);
  }
}

// Half of an unsigned E4M3.
float HalfMini(uint8_t pattern) {
  if (pattern == 0 || pattern == 0x7F) return 0;
  const unsigned exponent = pattern >> 3 & 15;
  const auto mantissa = static_cast<float>(pattern & 7);
  if (exponent == 0) return mantissa * (1.0f / 1024);
  const float power = std::bit_cast<float>((exponent + (127 - 7 - 1)) << 23);
  return (1.0f + mantissa / 8.0f) * power;
}

void HalfMinis(Streams streams, size_t count, float* steps, float*) {
  for (size_t k = 0; k < 4 * count; ++k) steps[k] = HalfMini(streams[0][k]);
}

struct Row {
  DType dtype;
  BlockGrid grid;
};

constexpr Row kRows[] = {
    {DType::kQ4_0, {32, Numbers::kLinear, 8, 15, false, StepOnly}},
    {DType::kQ4_1, {32, Numbers::kLinear, 0, 15, true, StepAndMinimum}},
    {DType::kQ5_0, {32, Numbers::kLinear, 16, 31, false, StepOnly}},
    {DType::kQ5_1, {32, Numbers::kLinear, 0, 31, true, StepAndMinimum}},
    {DType::kQ8_0, {32, Numbers::kSigned, 127, 254, false, StepOnly}},
    {DType::kQ2K, {16, Numbers::kLinear, 0, 3, true, ScaledPairs<16, 15>}},
    {DType::kQ3K, {16, Numbers::kLinear, 4, 7, false, ScaledFrom32<16>}},
    {DType::kQ4K, {32, Numbers::kLinear, 0, 15, true, ScaledPairs<8, 63>}},
    {DType::kQ5K, {32, Numbers::kLinear, 0, 31, true, ScaledPairs<8, 63>}},
    {DType::kQ6K, {16, Numbers::kLinear, 32, 63, false, ScaledSigned}},
    {DType::kIq4Nl, {32, Numbers::kTable, 0, 15, false, StepOnly}},
    {DType::kIq4Xs, {32, Numbers::kTable, 0, 15, false, ScaledFrom32<8>}},
    {DType::kMxfp4, {32, Numbers::kMiniFloat, 0, 15, false, HalfPowers}},
    {DType::kNvfp4, {16, Numbers::kMiniFloat, 0, 15, false, HalfMinis}},
    {DType::kTq2_0, {256, Numbers::kLinear, 1, 2, false, StepOnly}},
};

// Between two whole numbers, and what is half a number from both goes to the even one.
float Rounded(float value) {
  constexpr float kWhole = 12582912.0f;  // 1.5 * 2^23: floats from there on are whole.
  return (value + kWhole) - kWhole;
}

float Within(float value, float low, float high) {
  const float above = value > low ? value : low;
  return above < high ? above : high;
}

// Of a value from the number of its code, in the gap to the next number on that side. Numbers
// ascend with codes.
template <size_t kCount>
float DistanceIn(const std::array<int8_t, kCount>& numbers, size_t code, float value) {
  const auto number = static_cast<float>(numbers[code]);
  const bool is_above = value >= number;
  const size_t other = is_above ? std::min(code + 1, kCount - 1) : code - (code > 0 ? 1 : 0);
  const int gap = is_above ? numbers[other] - numbers[code] : numbers[code] - numbers[other];
  return gap == 0 ? value - number : (value - number) / static_cast<float>(gap);
}

// All weights of a sub-block at a time: such loops are vectors.
constexpr size_t kMostOfSub = 32;

void CodesInTable(const float* weights, float step, size_t count, uint8_t* codes) {
  float values[kMostOfSub];
  int32_t found[kMostOfSub] = {};
  for (size_t i = 0; i < count; ++i) values[i] = weights[i] / step;
  for (size_t k = 1; k < kTable.size(); ++k) {
    const float middle = 0.5f * static_cast<float>(kTable[k - 1] + kTable[k]);
    for (size_t i = 0; i < count; ++i) found[i] += values[i] >= middle ? 1 : 0;
  }
  for (size_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(found[i]);
}

void MiniCodes(const float* weights, float step, size_t count, uint8_t* codes) {
  float values[kMostOfSub];
  int32_t found[kMostOfSub] = {};
  for (size_t i = 0; i < count; ++i) values[i] = weights[i] / step;
  for (size_t k = 1; k < kMini.size(); ++k) {
    const float middle = 0.5f * static_cast<float>(kMini[k - 1] + kMini[k]);
    for (size_t i = 0; i < count; ++i) {
      const float size = values[i] < 0 ? -values[i] : values[i];
      found[i] += size > middle ? 1 : 0;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const bool is_negative = values[i] < 0 && found[i] > 0;
    codes[i] = static_cast<uint8_t>(found[i] | (is_negative ? 8 : 0));
  }
}

float NumberOf(const BlockGrid& grid, uint8_t code) {
  switch (grid.numbers) {
    case Numbers::kSigned:
      return static_cast<float>(static_cast<int8_t>(code));
    case Numbers::kTable:
      return static_cast<float>(kTable[code & 15]);
    case Numbers::kMiniFloat: {
      const auto number = static_cast<float>(kMini[code & 7]);
      // Code 8 is no other zero: ggml's numbers are integers.
      return (code & 15) > 8 ? -number : number;
    }
    default:
      return static_cast<float>(static_cast<int>(code) - grid.bias);
  }
}

// Between which codes the weights of a sub-block lie.
void PlacesOf(const BlockGrid& grid, const GridRun& run, size_t sub, const uint8_t* codes,
              uint8_t* places) {
  const float step = run.steps[sub];
  const float offset = run.offsets == nullptr ? 0 : run.offsets[sub];
  const float* weights = run.weights + sub * run.per_sub;
  for (size_t i = 0; i < run.per_sub; ++i) {
    const float value = (weights[i] - offset) / step;
    switch (grid.numbers) {
      case Numbers::kTable:
        places[i] = NearPlace(DistanceIn(kTable, codes[i], value));
        break;
      case Numbers::kMiniFloat:
        // Codes with a sign count away from 0.
        places[i] = NearPlace(DistanceIn(kMini, codes[i] & 7, value < 0 ? -value : value));
        break;
      default:
        places[i] = NearPlace(value - Rounded(Within(value, run.low, run.high)));
    }
  }
}

const GridKernels& ActiveGrid() {
#if defined(QSTORE_X86_KERNELS)
  if (base::ActiveIsa() == base::Isa::kAvx512) return kAvx512Grid;
  if (base::ActiveIsa() == base::Isa::kAvx2) return kAvx2Grid;
#endif
  return kScalarGrid;
}

bool IsLinear(const BlockGrid& grid) {
  return grid.numbers == Numbers::kLinear || grid.numbers == Numbers::kSigned;
}

GridRun RunOf(const BlockGrid& grid, const SubScales& scales, size_t first_sub,
              std::span<const float> weights) {
  return {.weights = weights.data(),
          .steps = scales.steps.data() + first_sub,
          .offsets = grid.has_offset ? scales.offsets.data() + first_sub : nullptr,
          .subs = weights.size() / grid.per_sub,
          .per_sub = grid.per_sub,
          .low = static_cast<float>(-grid.bias),
          .high = static_cast<float>(grid.top - grid.bias),
          .bias = grid.numbers == Numbers::kSigned ? 0 : grid.bias};
}

bool IsStep(float step) { return step < 0 || step > 0; }

}  // namespace

const BlockGrid* GridOfBlocks(DType dtype) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [dtype](const Row& row) { return row.dtype == dtype; });
  return found == std::end(kRows) ? nullptr : &found->grid;
}

void SubScales::Fill(const BlockGrid& grid, unsigned weights, const uint8_t* const* streams,
                     size_t count) {
  const size_t subs = count * weights / grid.per_sub;
  steps.resize(subs);
  offsets.resize(subs);
  grid.scales(streams, count, steps.data(), offsets.data());
}

void ValuesOfCodes(const BlockGrid& grid, const SubScales& scales, const uint8_t* codes,
                   std::span<float> values) {
  std::array<float, 256> numbers;
  for (unsigned c = 0; c < numbers.size(); ++c)
    numbers[c] = NumberOf(grid, static_cast<uint8_t>(c));
  for (size_t k = 0; k < values.size() / grid.per_sub; ++k) {
    const uint8_t* from = codes + k * grid.per_sub;
    float* to = values.data() + k * grid.per_sub;
    const float step = scales.steps[k];
    if (grid.has_offset) {
      const float offset = scales.offsets[k];
      for (size_t i = 0; i < grid.per_sub; ++i) to[i] = numbers[from[i]] * step + offset;
    } else {
      for (size_t i = 0; i < grid.per_sub; ++i) to[i] = numbers[from[i]] * step;
    }
  }
}

void NearestCodes(const BlockGrid& grid, const SubScales& scales, size_t first_sub,
                  std::span<const float> weights, uint8_t* codes, uint8_t* places) {
  const size_t per_sub = grid.per_sub;
  const GridRun run = RunOf(grid, scales, first_sub, weights);
  if (IsLinear(grid)) ActiveGrid().nearest(run, codes);
  if (IsLinear(grid) && places == nullptr) return;
  for (size_t k = 0; k < run.subs; ++k) {
    uint8_t* to = codes + k * per_sub;
    const bool is_step = IsStep(run.steps[k]);
    if (!IsLinear(grid)) {
      const auto codes_of = grid.numbers == Numbers::kTable ? CodesInTable : MiniCodes;
      if (is_step) codes_of(weights.data() + k * per_sub, run.steps[k], per_sub, to);
      if (!is_step) std::fill_n(to, per_sub, uint8_t{0});
    }
    if (places == nullptr) continue;
    if (is_step) PlacesOf(grid, run, k, to, places + k * per_sub);
    if (!is_step) std::fill_n(places + k * per_sub, per_sub, uint8_t{kNearPlaces - 1});
  }
}

void ValuesOfBf16(std::span<const std::byte> content, std::span<float> values) {
  ActiveGrid().from_bf16(reinterpret_cast<const uint8_t*>(content.data()), values.size(),
                         values.data());
}

}  // namespace qstore::scheme::ggml
