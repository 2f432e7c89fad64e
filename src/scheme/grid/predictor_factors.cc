// SPDX-License-Identifier: Apache-2.0
// What weights are scaled with: from given sides, or from the weights of each group.
#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "scheme/grid/predictor.h"
#include "scheme/grid/side_bytes.h"

namespace qstore::scheme {

float GlobalOf(const SidesOf<ParentContent>& sides) {
  if (sides.global == nullptr) return 1;
  return UsableGlobal(std::bit_cast<float>(base::LoadLe<uint32_t>(sides.global->bytes.data())));
}

float StoredFactor(const Rounding& rounding, DType weights, const SidesOf<ParentContent>& sides,
                   uint64_t group) {
  const uint32_t pattern = LoadPattern(ScaleType(rounding, weights), sides.scales->bytes, group);
  return FactorFor(rounding, weights, pattern, GlobalOf(sides));
}

void Predictor::Widen(std::span<const std::byte> weights, uint64_t begin, uint64_t count,
                      float* out) const {
  const uint64_t size = DTypeBits(weights_) / 8;
  const auto* in = reinterpret_cast<const uint8_t*>(weights.data() + begin * size);
  if (weights_ == DType::kBF16) {
    kernels_.widen_bf16(in, count, out);
  } else if (weights_ == DType::kF16) {
    kernels_.widen_fp16(in, count, out);
  } else {
    for (uint64_t i = 0; i < count; ++i) {
      const auto bits = base::LoadLe<uint32_t>(reinterpret_cast<const std::byte*>(in) + 4 * i);
      const bool is_subnormal = (bits & 0x7f800000) == 0;
      out[i] = std::bit_cast<float>(is_subnormal ? bits & 0x80000000 : bits);
    }
  }
  if (!rounding_.through_fp16 || weights_ == DType::kF16) return;
  if (weights_ == DType::kBF16) return kernels_.bf16_through_fp16(count, out);
  kernels_.through_fp16(count, out);
}

void Predictor::FindExtremes(const GroupRange& range, std::span<const std::byte> weights) {
  const uint64_t first = range.FirstGroup(groups_);
  scratch_.extremes.assign(range.EndGroup(groups_) - first, {0, INFINITY, -INFINITY});
  const bool has_zeros = HasZeros(rounding_);
  uint32_t most[kStrip];
  float least[kStrip];
  float greatest[kStrip];
  ForEachRuns(groups_, range, kStrip,
              [&](uint64_t begin, uint64_t run, uint64_t count, uint64_t group) {
                Extremes* of = &scratch_.extremes[group - first];
                if (!has_zeros) {
                  FindAbsmax(weights, begin, run, count, most);
                  for (uint64_t r = 0; r < count; ++r) of[r].most = std::max(of[r].most, most[r]);
                  return;
                }
                FindEnds(weights, begin, run, count, least, greatest);
                for (uint64_t r = 0; r < count; ++r) {
                  of[r].least = std::min(of[r].least, least[r]);
                  of[r].greatest = std::max(of[r].greatest, greatest[r]);
                }
              });
}

// Patterns of F32 numbers. Those of BF16 need no widening but of the largest.
void Predictor::FindAbsmax(std::span<const std::byte> weights, uint64_t begin, uint64_t run,
                           uint64_t count, uint32_t* most) {
  if (weights_ != DType::kBF16) {
    float* values = scratch_.values.data();
    Widen(weights, begin, run * count, values);
    return kernels_.absmax(values, run, count, most);
  }
  constexpr uint32_t kLeastNormal = 0x80;
  const auto* patterns = reinterpret_cast<const uint8_t*>(weights.data() + 2 * begin);
  kernels_.bf16_absmax(patterns, run, count, most);
  for (uint64_t r = 0; r < count; ++r) {
    most[r] = most[r] < kLeastNormal ? 0 : most[r] << 16;
    if (!rounding_.through_fp16) continue;
    const uint16_t rounded = base::FloatToFp16(std::bit_cast<float>(most[r]));
    most[r] = std::bit_cast<uint32_t>(base::Fp16ToFloat(rounded));
  }
}

void Predictor::FindEnds(std::span<const std::byte> weights, uint64_t begin, uint64_t run,
                         uint64_t count, float* least, float* greatest) {
  if (weights_ != DType::kBF16) {
    float* values = scratch_.values.data();
    Widen(weights, begin, run * count, values);
    return kernels_.extremes(values, run, count, least, greatest);
  }
  uint16_t low[kStrip];
  uint16_t high[kStrip];
  const auto* patterns = reinterpret_cast<const uint8_t*>(weights.data() + 2 * begin);
  kernels_.bf16_extremes(patterns, run, count, low, high);
  kernels_.widen_bf16(reinterpret_cast<const uint8_t*>(low), count, least);
  kernels_.widen_bf16(reinterpret_cast<const uint8_t*>(high), count, greatest);
}

void Predictor::FindStored(float global) {
  scratch_.stored.resize(scratch_.extremes.size());
  StoredForAll(rounding_, weights_, scratch_.extremes, global, scratch_.stored.data());
}

// Zero points lie in words, biases as scales do.
float Predictor::ZeroIn(const ParentContent& zeros, uint64_t group) const {
  if (rounding_.scale == ScaleKind::kAffine) {
    return NumberOf(weights_, LoadPattern(weights_, zeros.bytes, group));
  }
  const unsigned zero = LoadZero(rounding_, params_.groups, zeros.bytes, group);
  return static_cast<float>(static_cast<int>(zero) + rounding_.low);
}

void Predictor::FindFactors(const GroupRange& range, std::span<const std::byte> weights,
                            const SidesOf<ParentContent>& sides) {
  const uint64_t first = range.FirstGroup(groups_);
  const uint64_t count = range.EndGroup(groups_) - first;
  const bool has_zeros = HasZeros(rounding_);
  const float global = GlobalOf(sides);
  if (sides.scales == nullptr || (has_zeros && sides.zeros == nullptr)) {
    FindExtremes(range, weights);
    FindStored(global);
  }
  scratch_.factors.resize(count);
  if (sides.scales != nullptr) {
    const FactorTable table(rounding_, weights_, global);
    const DType type = ScaleType(rounding_, weights_);
    for (uint64_t g = 0; g < count; ++g) {
      scratch_.factors[g] = table.Of(LoadPattern(type, sides.scales->bytes, first + g));
    }
  } else if (rounding_.scale == ScaleKind::kInverse || rounding_.scale == ScaleKind::kAffine) {
    for (uint64_t g = 0; g < count; ++g) {
      scratch_.factors[g] = ExactFactor(rounding_, scratch_.stored[g], scratch_.extremes[g]);
    }
  } else {
    const FactorTable table(rounding_, weights_, global);
    for (uint64_t g = 0; g < count; ++g) {
      scratch_.factors[g] = table.Of(scratch_.stored[g].pattern);
    }
  }
  if (!has_zeros) return;
  scratch_.zeros.resize(count);
  for (uint64_t g = 0; g < count; ++g) {
    scratch_.zeros[g] =
        sides.zeros != nullptr ? ZeroIn(*sides.zeros, first + g) : scratch_.stored[g].zero;
  }
}

}  // namespace qstore::scheme
