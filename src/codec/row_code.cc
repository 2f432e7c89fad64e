// SPDX-License-Identifier: Apache-2.0
#include "codec/row_code.h"

namespace qstore::codec {
namespace {

constexpr float kMiddle = static_cast<float>(kShapeSteps);
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
  for (size_t i = 0; i < 2 * kShapeSteps; ++i) {
    width_[i] = below_[i + 1] - below_[i];
    inverse_width_[i] = width_[i] > 0 ? 1 / width_[i] : 0;
  }
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

uint32_t RowCode::Find(const Place& place, uint32_t slot) const {
  const float share = static_cast<float>(slot) * inverse_scale_;
  size_t step = step_of_[slot >> (kRowScaleBits - 8)];
  while (step + 1 < 2 * kShapeSteps && below_[step + 1] <= share) ++step;
  const float inside = std::min(1.0f, (share - below_[step]) * inverse_width_[step]);
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
