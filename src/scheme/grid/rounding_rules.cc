// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include "scheme/grid/rounding.h"

namespace qstore::scheme {
namespace {

// Half-way between neighbours among the 16 numbers, by their order; F32.
struct Table {
  float numbers[16];
  uint8_t codes[16];  // By the order of the numbers.
};

// Dettmers et al. 2023, "QLoRA"; the quantiles of a normal distribution, and 0.
constexpr Table kNf4Table = {
    {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
     -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
     0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
     0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
    {}};  // They are the places.

// A sign bit, and 0, 1/192, 2/3, 1, 1/3, 1/2, 1/6, 1/4 by the other three.
constexpr Table kFp4Table = {
    {-1.0f, -0.6666666865348816f, -0.5f, -0.3333333432674408f, -0.25f, -0.1666666716337204f,
     -0.0052083334885537624f, 0.0f, 0.0f, 0.0052083334885537624f, 0.1666666716337204f, 0.25f,
     0.3333333432674408f, 0.5f, 0.6666666865348816f, 1.0f},
    {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3}};

struct Steps {
  explicit constexpr Steps(const Table& table) {
    for (size_t i = 0; i < codec::kTableSteps; ++i) {
      at[i] = (table.numbers[i] + table.numbers[i + 1]) / 2.0f;
    }
  }
  float at[codec::kTableSteps] = {};
};
constexpr Steps kNf4Steps(kNf4Table);
constexpr Steps kFp4Steps(kFp4Table);

constexpr Rounding Integers(ScaleKind scale, float top, int low, int high) {
  const bool is_llm = scale == ScaleKind::kAbsmaxTimes || scale == ScaleKind::kAbsmaxQuotient;
  return {.grid = GridKind::kIntegers,
          .scale = scale,
          .multiply = is_llm || scale == ScaleKind::kWide,
          .rounds = scale == ScaleKind::kQuotient || scale == ScaleKind::kRange,
          .through_fp16 = is_llm,
          .top = top,
          .low = low,
          .high = high,
          .bits = high < 8 ? 4u : 8u,
          .steps = nullptr,
          .codes = nullptr,
          .numbers = nullptr};
}

constexpr Rounding Floats(GridKind grid, ScaleKind scale, float top) {
  return {.grid = grid,
          .scale = scale,
          .multiply = scale == ScaleKind::kInverse || scale == ScaleKind::kReciprocal,
          .rounds = scale == ScaleKind::kQuotient || scale == ScaleKind::kReciprocal,
          .through_fp16 = false,
          .top = top,
          .low = 0,
          .high = 0,
          .bits = grid == GridKind::kE4m3 ? 8u : 4u,
          .steps = nullptr,
          .codes = nullptr,
          .numbers = nullptr};
}

constexpr Rounding WithByteZeros(Rounding rounding) {
  rounding.has_byte_zeros = true;
  return rounding;
}

constexpr Rounding WithRounding(Rounding rounding) {
  rounding.rounds = true;
  return rounding;
}

// Codes from 0 to 2^bits - 1.
constexpr Rounding Affine(unsigned bits) {
  const int high = (1 << bits) - 1;
  Rounding rounding = Integers(ScaleKind::kAffine, static_cast<float>(high), 0, high);
  rounding.bits = bits;
  return rounding;
}

constexpr Rounding FromTable(const Steps& steps, const Table& table, const uint8_t* codes) {
  return {.grid = GridKind::kTable,
          .scale = ScaleKind::kAbsmax,
          .multiply = true,
          .rounds = false,
          .through_fp16 = false,
          .top = 1,
          .low = 0,
          .high = 0,
          .bits = 4,
          .steps = steps.at,
          .codes = codes,
          .numbers = table.numbers};
}

constexpr Rounding kRoundings[] = {
    Integers(ScaleKind::kAbsmaxTimes, 127.0f, -128, 127),
    Integers(ScaleKind::kAbsmaxQuotient, 127.0f, -128, 127),
    FromTable(kNf4Steps, kNf4Table, nullptr),
    FromTable(kFp4Steps, kFp4Table, kFp4Table.codes),
    Floats(GridKind::kE4m3, ScaleKind::kQuotient, 448.0f),
    Floats(GridKind::kE4m3, ScaleKind::kInverse, 448.0f),
    Integers(ScaleKind::kQuotient, 127.5f, -128, 127),
    Integers(ScaleKind::kQuotient, 7.5f, -8, 7),
    Integers(ScaleKind::kRange, 15.0f, -8, 7),
    Floats(GridKind::kE2m1, ScaleKind::kGlobal, 6.0f),
    Floats(GridKind::kE2m1, ScaleKind::kPower, 2.0f),
    Integers(ScaleKind::kQuotient, 127.0f, -128, 127),
    Integers(ScaleKind::kWide, 127.5f, -128, 127),
    Floats(GridKind::kE4m3, ScaleKind::kWide, 448.0f),
    Floats(GridKind::kE4m3, ScaleKind::kSingle, 448.0f),
    Floats(GridKind::kE4m3, ScaleKind::kReciprocal, 448.0f),
    Floats(GridKind::kE2m1, ScaleKind::kProduct, 6.0f),
    Affine(2),
    Affine(3),
    Affine(4),
    Affine(5),
    Affine(6),
    Affine(8),
    Floats(GridKind::kE4m3, ScaleKind::kPower, 8.0f),
    Integers(ScaleKind::kRange, 255.0f, -128, 127),
    WithByteZeros(Integers(ScaleKind::kRange, 255.0f, -128, 127)),
    WithRounding(Floats(GridKind::kE4m3, ScaleKind::kSingle, 448.0f)),
};
static_assert(std::size(kRoundings) == static_cast<size_t>(RoundingRule::kEnd) - 1);

}  // namespace

const Rounding* FindRounding(uint8_t number) {
  if (number == 0 || number > std::size(kRoundings)) return nullptr;
  return &kRoundings[number - 1];
}

}  // namespace qstore::scheme
