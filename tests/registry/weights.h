// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "base/float_convert.h"
#include "qstore/dtype.h"

namespace qstore::testing {

/// A matrix of weights with the law of `qstore synth`, and its LLM.int8() twin.
struct WeightPair {
  uint64_t rows = 0;
  uint64_t columns = 0;
  std::vector<std::byte> high;    ///< Patterns of the high-precision type.
  std::vector<std::byte> q;       ///< One signed byte an element.
  std::vector<std::byte> scales;  ///< F32 absmax of every row.
};

inline void AppendPattern(DType dtype, float value, std::vector<std::byte>* out) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (dtype == DType::kBF16) bits = base::FloatToBf16(value);
  if (dtype == DType::kF16) bits = base::FloatToFp16(value);
  const auto* at = reinterpret_cast<const std::byte*>(&bits);
  out->insert(out->end(), at, at + DTypeBits(dtype) / 8);
}

inline float PatternValue(DType dtype, const std::byte* at) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, DTypeBits(dtype) / 8);
  if (dtype == DType::kBF16) return base::Bf16ToFloat(static_cast<uint16_t>(bits));
  if (dtype == DType::kF16) return base::Fp16ToFloat(static_cast<uint16_t>(bits));
  return std::bit_cast<float>(bits);
}

/// Quantizes by the rule of bitsandbytes: through F16, absmax of the row, round half to even.
inline void MakeTwin(DType dtype, WeightPair* pair) {
  const size_t size = DTypeBits(dtype) / 8;
  for (uint64_t r = 0; r < pair->rows; ++r) {
    float absmax = 0;
    const auto value = [&](uint64_t c) {
      const std::byte* at = pair->high.data() + (r * pair->columns + c) * size;
      return base::Fp16ToFloat(base::FloatToFp16(PatternValue(dtype, at)));
    };
    for (uint64_t c = 0; c < pair->columns; ++c) absmax = std::max(absmax, std::fabs(value(c)));
    AppendPattern(DType::kF32, absmax, &pair->scales);
    const float scale = 127.0f / absmax;
    for (uint64_t c = 0; c < pair->columns; ++c) {
      pair->q.push_back(
          static_cast<std::byte>(static_cast<int8_t>(std::nearbyint(value(c) * scale))));
    }
  }
}

inline WeightPair MakePair(DType dtype, uint64_t rows, uint64_t columns, uint32_t seed) {
  WeightPair pair{rows, columns, {}, {}, {}};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> column(columns);
  for (auto& c : column) c = std::exp(0.1f * normal(random));
  for (uint64_t r = 0; r < rows; ++r) {
    const float row = 0.02f * std::exp(0.25f * normal(random));
    for (uint64_t c = 0; c < columns; ++c)
      AppendPattern(dtype, normal(random) * row * column[c], &pair.high);
  }
  MakeTwin(dtype, &pair);
  return pair;
}

}  // namespace qstore::testing
