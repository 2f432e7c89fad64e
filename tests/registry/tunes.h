// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "registry/weights.h"

namespace qstore::testing {

/// Weights moved by a normal variable of the deviation `rate`, as a tune leaves them.
inline std::vector<std::byte> Tuned(DType dtype, const std::vector<std::byte>& base, float rate,
                                    uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const size_t size = DTypeBits(dtype) / 8;
  std::vector<std::byte> out;
  out.reserve(base.size());
  for (size_t i = 0; i < base.size() / size; ++i) {
    const float value = PatternValue(dtype, base.data() + i * size);
    AppendPattern(dtype, value + rate * normal(random), &out);
  }
  return out;
}

}  // namespace qstore::testing
