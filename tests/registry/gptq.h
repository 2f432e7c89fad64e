// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "base/float_convert.h"
#include "codec/kernels/kernels.h"
#include "scheme/gptq/gptq_tensor.h"

namespace qstore::testing {

/// A GPTQ tensor as files hold it.
struct GptqParts {
  scheme::GptqShape shape;
  std::vector<std::byte> weights;
  std::vector<std::byte> scales;  ///< F16.
  std::vector<std::byte> zeros;
  std::vector<std::byte> groups;

  scheme::GptqTensor tensor() const { return {shape, DType::kF16, weights, scales, zeros, groups}; }
};

template <class T>
void AppendLe(T value, std::vector<std::byte>* out) {
  const size_t at = out->size();
  out->resize(at + sizeof(T));
  std::memcpy(out->data() + at, &value, sizeof(T));
}

/// A matrix of `outputs` rows of `inputs` values, quantized to within the noise of error feedback.
/// With `less_one` zero points are stored as version 1 has them; `shuffled` gives inputs groups in
/// any order.
inline GptqParts MakeGptq(const std::vector<float>& values, uint64_t inputs, uint64_t outputs,
                          unsigned bits, uint64_t groups, uint32_t seed, bool less_one = true,
                          bool shuffled = false) {
  GptqParts parts{{inputs, outputs, groups, bits}, {}, {}, {}, {}};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<uint32_t> group_of(inputs);
  for (uint64_t i = 0; i < inputs; ++i) group_of[i] = static_cast<uint32_t>(i * groups / inputs);
  if (shuffled) std::shuffle(group_of.begin(), group_of.end(), random);
  for (const uint32_t group : group_of) AppendLe(group, &parts.groups);
  const auto most = static_cast<float>((1u << bits) - 1);
  std::vector<uint8_t> q(inputs * outputs);
  std::vector<uint8_t> zeros(outputs * groups);
  for (uint32_t g = 0; g < groups; ++g) {
    for (uint64_t o = 0; o < outputs; ++o) {
      float low = 0, high = 1e-6f;
      for (uint64_t i = 0; i < inputs; ++i) {
        if (group_of[i] != g) continue;
        low = std::min(low, values[o * inputs + i]);
        high = std::max(high, values[o * inputs + i]);
      }
      const uint16_t pattern = base::FloatToFp16((high - low) / most);
      const float scale = base::Fp16ToFloat(pattern);
      const float zero = std::nearbyint(-low / scale);
      AppendLe(pattern, &parts.scales);
      const auto stored = static_cast<int>(zero) - (less_one ? 1 : 0);
      zeros[g * outputs + o] = static_cast<uint8_t>(stored & static_cast<int>(most));
      for (uint64_t i = 0; i < inputs; ++i) {
        if (group_of[i] != g) continue;
        const float steps = values[o * inputs + i] / scale + 0.3f * normal(random);
        q[i * outputs + o] =
            static_cast<uint8_t>(std::clamp(std::nearbyint(steps) + zero, 0.0f, most));
      }
    }
  }
  parts.weights.resize(inputs * outputs * bits / 8);
  codec::ActiveKernels().pack_inputs(q.data(), bits, inputs, outputs,
                                     reinterpret_cast<uint8_t*>(parts.weights.data()));
  parts.zeros.resize(groups * outputs * bits / 8);
  for (uint64_t g = 0; g < groups; ++g) {
    codec::ActiveKernels().pack_inputs(
        &zeros[g * outputs], bits, outputs, 1,
        reinterpret_cast<uint8_t*>(&parts.zeros[g * outputs * bits / 8]));
  }
  return parts;
}

}  // namespace qstore::testing
