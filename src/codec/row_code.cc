// SPDX-License-Identifier: Apache-2.0
#include "codec/row_code.h"

#include <algorithm>

namespace qstore::codec {
namespace {

constexpr float kMiddle = static_cast<float>(kShapeSteps);
constexpr float kEnd = static_cast<float>(2 * kShapeSteps);
constexpr float kStepsPerDeviation = 8;

}  // namespace

RowCode::RowCode(const RowSymbols& symbols, const RowShapeWeights& weights)
    : symbols_(symbols),
      scale_(static_cast<float>(kRowScale - symbols.size()) / (2.0f * kShapeSum)),
      inverse_scale_(1 / scale_) {
  uint32_t below = 0;
  for (size_t i = 0; i < 2 * kShapeSteps; ++i) {
    below_[i] = static_cast<float>(below);
    below += i < kShapeSteps ? weights[kShapeSteps - 1 - i] : weights[i - kShapeSteps];
  }
  below_[2 * kShapeSteps] = static_cast<float>(below);
  size_t step = 0;
  for (size_t i = 0; i < 256; ++i) {
    const auto share = static_cast<float>(i) * (2.0f * kShapeSum / 256);
    while (step + 1 < 2 * kShapeSteps && below_[step + 1] <= share) ++step;
    step_of_[i] = static_cast<uint8_t>(step);
  }
}

RowCode::Place RowCode::At(float mean, float deviation, float least) {
  const float used = deviation > least ? deviation : least;
  return {mean, kStepsPerDeviation / used, used};
}

uint32_t RowCode::Start(const Place& place, uint32_t s) const {
  if (s == 0) return 0;
  if (s == symbols_.size()) return kRowScale;
  const float at = (symbols_.lower(s) - place.mean) * place.steps + kMiddle;
  // Written so that what is not a number counts as 0.
  const float inside = at > 0 ? (at < kEnd ? at : kEnd) : 0;
  const auto step = std::min(static_cast<uint32_t>(inside), uint32_t{2 * kShapeSteps - 1});
  const float share =
      below_[step] + (inside - static_cast<float>(step)) * (below_[step + 1] - below_[step]);
  return static_cast<uint32_t>(share * scale_) + s;
}

uint32_t RowCode::Find(const Place& place, uint32_t slot) const {
  const float share = static_cast<float>(slot) * inverse_scale_;
  size_t step = step_of_[slot >> (kRowScaleBits - 8)];
  while (step + 1 < 2 * kShapeSteps && below_[step + 1] <= share) ++step;
  const float width = below_[step + 1] - below_[step];
  const float inside = width > 0 ? std::min(1.0f, (share - below_[step]) / width) : 0.5f;
  const float from_middle = static_cast<float>(step) + inside - kMiddle;
  uint32_t s = symbols_.Guess(place.mean + from_middle / kStepsPerDeviation * place.deviation);
  if (Start(place, s) <= slot) {
    if (slot < Start(place, s + 1)) return s;
    return Search(place, slot, s + 1, symbols_.size());
  }
  if (Start(place, s - 1) <= slot) return s - 1;
  return Search(place, slot, 0, s - 1);
}

uint32_t RowCode::Search(const Place& place, uint32_t slot, uint32_t first, uint32_t last) const {
  if (slot < Start(place, first + 1)) return first;
  while (last - first > 1) {
    const uint32_t middle = first + (last - first) / 2;
    (Start(place, middle) <= slot ? first : last) = middle;
  }
  return first;
}

}  // namespace qstore::codec
