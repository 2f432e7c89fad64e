// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/row_symbols.h"

namespace qstore::codec {

inline constexpr unsigned kRowScaleBits = 24;
inline constexpr uint32_t kRowScale = uint32_t{1} << kRowScaleBits;
/// The shape of a distribution is sent in steps of an eighth of the deviation, up to eight.
inline constexpr size_t kShapeSteps = 64;
inline constexpr uint32_t kShapeSum = uint32_t{1} << 15;
/// How much of one half of the distribution lies in each step.
using RowShapeWeights = std::array<uint16_t, kShapeSteps>;

/// Which stretch of the code each symbol has, given mean and deviation.
class RowCode {
 public:
  /// `symbols` must live as long. REQUIRES: `weights` sum to kShapeSum.
  RowCode(const RowSymbols& symbols, const RowShapeWeights& weights);

  struct Place {
    float mean;
    float steps;  // In a deviation, inverted: steps = 8 / deviation.
    float deviation;
  };
  static Place At(float mean, float deviation, float least);

  /// Where the stretch of symbol `s` begins; that of symbol size() is kRowScale.
  uint32_t Start(const Place& place, uint32_t s) const {
    if (s == 0) return 0;
    if (s == symbols_.size()) return kRowScale;
    constexpr auto kEnd = static_cast<float>(2 * kShapeSteps);
    const float at =
        (symbols_.lower(s) - place.mean) * place.steps + static_cast<float>(kShapeSteps);
    // Written so that what is not a number counts as 0.
    const float inside = at > 0 ? (at < kEnd ? at : kEnd) : 0;
    const auto step = std::min(static_cast<int32_t>(inside), int32_t{2 * kShapeSteps - 1});
    const float share = below_[step] + (inside - static_cast<float>(step)) * width_[step];
    return static_cast<uint32_t>(static_cast<int32_t>(share * scale_)) + s;
  }
  /// The symbol in whose stretch `slot` lies.
  uint32_t Find(const Place& place, uint32_t slot) const;

 private:
  // The symbol from `first` on and before `last` in whose stretch `slot` lies.
  uint32_t Search(const Place& place, uint32_t slot, uint32_t first, uint32_t last) const;

  const RowSymbols& symbols_;
  float scale_;
  float inverse_scale_;
  float below_[2 * kShapeSteps + 1];  // Share of the distribution below each step, in 2^16.
  float width_[2 * kShapeSteps];      // How much lies in each step.
  float inverse_width_[2 * kShapeSteps];
  uint8_t step_of_[256];  // By the high bits of a slot: the step it lies in, or before.
};

}  // namespace qstore::codec
