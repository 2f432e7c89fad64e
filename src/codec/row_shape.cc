// SPDX-License-Identifier: Apache-2.0
#include "codec/row_shape.h"

#include <algorithm>
#include <cmath>

namespace qstore::codec {

void RowShapeCount::Add(float from, float to) {
  if (from < 0 && to > 0) {
    AddHalf(0, to, to / (to - from));
    AddHalf(0, -from, -from / (to - from));
  } else {
    AddHalf(std::min(std::abs(from), std::abs(to)), std::max(std::abs(from), std::abs(to)), 1);
  }
}

void RowShapeCount::AddHalf(float from, float to, double mass) {
  constexpr auto kLast = static_cast<float>(kShapeSteps) - 0.001f;
  from = std::min(from, kLast);
  to = std::min(to, kLast);
  const auto first = static_cast<size_t>(from);
  const auto last = static_cast<size_t>(to);
  if (first == last) {
    counts_[first] += mass;
    return;
  }
  for (size_t i = first; i <= last; ++i) {
    const double begin = std::max(from, static_cast<float>(i));
    const double end = std::min(to, static_cast<float>(i + 1));
    counts_[i] += mass * (end - begin) / (to - from);
  }
}

double RowShapeCount::bits() const {
  double total = 0;
  for (double c : counts_) total += c;
  double bits = total;  // The sign.
  for (double c : counts_) bits += c > 0 ? c * std::log2(total / c) : 0;
  return bits;
}

RowShapeWeights RowShapeCount::Weights() const {
  double total = 0;
  for (double c : counts_) total += c;
  RowShapeWeights weights;
  int64_t left = kShapeSum;
  for (size_t i = 0; i < kShapeSteps; ++i) {
    const double share = total > 0 ? counts_[i] / total : 0;
    weights[i] = static_cast<uint16_t>(
        std::max<int64_t>(counts_[i] > 0 ? 1 : 0, std::llround(share * (kShapeSum - kShapeSteps))));
    left -= weights[i];
  }
  auto* const largest = std::max_element(weights.begin(), weights.end());
  *largest = static_cast<uint16_t>(*largest + left);
  return weights;
}

}  // namespace qstore::codec
