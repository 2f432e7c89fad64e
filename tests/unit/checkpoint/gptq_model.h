// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "unit/store/model_files.h"

namespace qstore::testing {

/// `values` as little-endian words of their own.
template <class T>
std::vector<std::byte> AsBytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A layer as GPTQ stores it.
struct GptqLayer {
  unsigned bits = 4;
  uint64_t outs = 0;
  uint64_t ins = 0;
  uint64_t groups = 1;
  std::vector<uint8_t> integers;  ///< [outs][ins]
  std::vector<uint16_t> scales;   ///< [groups][outs], F16
  std::vector<int32_t> g_idx;     ///< [ins]

  std::vector<uint32_t> Packed() const {
    std::vector<uint32_t> words(ins * bits / 32 * outs);
    for (uint64_t o = 0; o < outs; ++o) {
      for (uint64_t i = 0; i < ins; ++i) {
        for (unsigned b = 0; b < bits; ++b) {
          const uint64_t at = i * bits + b;
          const uint32_t bit = integers[o * ins + i] >> b & 1u;
          words[at / 32 * outs + o] |= bit << (at % 32);
        }
      }
    }
    return words;
  }

  std::vector<TestTensor> Tensors(const std::string& module) const {
    const std::vector<uint32_t> zeros(groups * outs * bits / 32, 0x77777777);
    return {{module + ".qweight", DType::kI32, {ins * bits / 32, outs}, AsBytes(Packed())},
            {module + ".qzeros", DType::kI32, {groups, outs * bits / 32}, AsBytes(zeros)},
            {module + ".scales", DType::kF16, {groups, outs}, AsBytes(scales)},
            {module + ".g_idx", DType::kI32, {ins}, AsBytes(g_idx)}};
  }
};

/// Rounds BF16 weights [outs][ins] to the nearest step of their group, symmetrically.
inline GptqLayer MakeGptq(const std::vector<std::byte>& high, uint64_t outs, uint64_t ins,
                          unsigned bits, uint64_t groups) {
  GptqLayer layer{bits, outs, ins, groups, {}, {}, {}};
  layer.integers.resize(outs * ins);
  layer.scales.resize(groups * outs);
  const uint64_t size = ins / groups;
  for (uint64_t i = 0; i < ins; ++i) layer.g_idx.push_back(static_cast<int32_t>(i / size));
  const auto value = [&](uint64_t o, uint64_t i) {
    return PatternValue(DType::kBF16, high.data() + (o * ins + i) * 2);
  };
  const auto half = static_cast<float>(1u << (bits - 1));
  for (uint64_t o = 0; o < outs; ++o) {
    for (uint64_t g = 0; g < groups; ++g) {
      float absmax = 0;
      for (uint64_t i = g * size; i < (g + 1) * size; ++i) {
        absmax = std::max(absmax, std::fabs(value(o, i)));
      }
      const uint16_t scale = base::FloatToFp16(absmax / half);
      layer.scales[g * outs + o] = scale;
      for (uint64_t i = g * size; i < (g + 1) * size; ++i) {
        const float q = std::nearbyint(value(o, i) / base::Fp16ToFloat(scale)) + half;
        layer.integers[o * ins + i] = static_cast<uint8_t>(std::clamp(q, 0.0f, 2 * half - 1));
      }
    }
  }
  return layer;
}

/// Three precisions of a model of two layers and an embedding in `root`/16, 8 and 4.
inline void WriteChain(const fs::path& root, uint64_t outs = 96, uint64_t ins = 256) {
  std::vector<TestTensor> high, eight, four;
  const TestTensor embed{
      "embed.weight", DType::kBF16, {8, ins}, MakePair(DType::kBF16, 8, ins, 9).high};
  for (auto* tensors : {&high, &eight, &four}) tensors->push_back(embed);
  for (const std::string module : {"layers.2.up", "layers.10.up"}) {
    const auto seed = static_cast<uint32_t>(module.size());
    const std::vector<std::byte> weights = MakePair(DType::kBF16, outs, ins, seed).high;
    high.push_back({module + ".weight", DType::kBF16, {outs, ins}, weights});
    for (const TestTensor& t : MakeGptq(weights, outs, ins, 8, 2).Tensors(module))
      eight.push_back(t);
    for (const TestTensor& t : MakeGptq(weights, outs, ins, 4, 2).Tensors(module))
      four.push_back(t);
  }
  WriteSafetensors(root / "16/model.safetensors", high);
  WriteSafetensors(root / "8/model.safetensors", eight);
  WriteSafetensors(root / "4/model.safetensors", four);
}

}  // namespace qstore::testing
