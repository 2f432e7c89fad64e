// SPDX-License-Identifier: Apache-2.0
#include "quant/bins.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/float_convert.h"

namespace qstore::quant {
namespace {

// Pattern of infinity, one above the largest finite number's.
uint32_t InfinityOf(DType target) {
  switch (target) {
    case DType::kBF16:
      return 0x7f80;
    case DType::kF16:
      return 0x7c00;
    default:
      return 0x7f800000;
  }
}

float ValueOf(DType target, uint32_t pattern) {
  switch (target) {
    case DType::kBF16:
      return std::bit_cast<float>(pattern << 16);
    case DType::kF16:
      return base::Fp16ToFloat(static_cast<uint16_t>(pattern));
    default:
      return std::bit_cast<float>(pattern);
  }
}

// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, below 2^22; larger values
// stay at or above 2^22, which is all a comparison with k <= 128 needs.
float RoundHalfEven(float x) {
  constexpr float kMagic = 12582912.0f;
  return x + kMagic - kMagic;
}

struct Predicate {
  const BinRule& rule;
  float scale;

  // Whether `pattern` lies in bin k or above.
  bool operator()(uint32_t pattern, unsigned k) const {
    float value = ValueOf(rule.target, pattern);
    if (rule.via_fp16) value = base::Fp16ToFloat(base::FloatToFp16(value));
    return RoundHalfEven(value * scale) >= static_cast<float>(k);
  }
};

// The lowest pattern in [low, high] for which the monotone predicate holds, given that it holds at
// `high` or that `high` is the answer when it holds nowhere.
uint32_t Bisect(const Predicate& reaches, unsigned k, uint32_t low, uint32_t high) {
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (reaches(middle, k)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

uint32_t Refine(const Predicate& reaches, unsigned k, uint32_t guess, uint32_t infinity) {
  uint32_t low = guess;
  uint32_t step = 1;
  while (low > 0 && reaches(low - 1, k)) {
    low = low > step ? low - step : 0;
    step *= 2;
  }
  uint32_t high = guess;
  step = 1;
  while (high < infinity && !reaches(high, k)) {
    high = infinity - high > step ? high + step : infinity;
    step *= 2;
  }
  return Bisect(reaches, k, low, high);
}

uint32_t GuessFor(const BinRule& rule, float boundary) {
  switch (rule.target) {
    case DType::kBF16:
      return std::bit_cast<uint32_t>(boundary) >> 16;
    case DType::kF16:
      return base::FloatToFp16(boundary);
    default:
      return std::bit_cast<uint32_t>(boundary);
  }
}

// All F16 bins at once, without branches: the nearest pattern to the boundary is the first of the
// bin, or one away. Returns false when a check of the result fails.
bool FindF16(float scale, float absmax, uint32_t* first) {
  const float step = absmax / 127.0f;
  uint32_t bad = 0;
  const auto reached = [scale](uint32_t pattern) {
    return RoundHalfEven(base::Fp16ToFloat(static_cast<uint16_t>(pattern)) * scale);
  };
  for (unsigned k = 1; k <= kMaxMagnitude + 1; ++k) {
    const auto bound = static_cast<float>(static_cast<int>(k));
    const uint32_t guess = uint32_t{base::FloatToFp16((bound - 0.5f) * step)} - 1;
    const uint32_t below1 = reached(guess + 1) < bound;
    const uint32_t below2 = reached(guess + 2) < bound;
    bad |= static_cast<uint32_t>(!(reached(guess) < bound));
    bad |= static_cast<uint32_t>(!(reached(guess + 3) >= bound));
    first[k] = guess + 1 + below1 + below2;
  }
  return bad == 0 && first[kMaxMagnitude + 1] <= 0x7c00;
}

constexpr float kMinAbsmax = 0x1p-100f;

}  // namespace

bool HasBins(float absmax) { return absmax >= kMinAbsmax && std::isfinite(absmax); }

bool FindBins(const BinRule& rule, float absmax, uint32_t first[kMaxMagnitude + 2]) {
  first[0] = 0;
  if (!HasBins(absmax)) return false;
  const float scale = 127.0f / absmax;
  if (rule.target == DType::kF16 && FindF16(scale, absmax, first)) return true;
  const Predicate reaches{rule, scale};
  const uint32_t infinity = InfinityOf(rule.target);
  for (unsigned k = 1; k <= kMaxMagnitude + 1; ++k) {
    const float boundary = (static_cast<float>(k) - 0.5f) * (absmax / 127.0f);
    const uint32_t guess = std::min(GuessFor(rule, boundary), infinity);
    first[k] = Refine(reaches, k, guess, infinity);
  }
  return true;
}

}  // namespace qstore::quant
