// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "qstore_apps/quantize.h"
#include "unit/test_files.h"

namespace qstore::testing {

namespace fs = std::filesystem;

struct Content {
  DType dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
  bool operator==(const Content&) const = default;
};
using Model = std::map<std::string, Content>;

template <class T>
Content Of(DType dtype, std::vector<uint64_t> shape, const std::vector<T>& values) {
  return {dtype, std::move(shape),
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}
inline Content F32(std::vector<uint64_t> shape, const std::vector<float>& values) {
  return Of(DType::kF32, std::move(shape), values);
}

inline void WriteModel(const fs::path& path, const Model& model) {
  std::vector<io::SafetensorsTensor> tensors;
  for (const auto& [name, content] : model) tensors.push_back({name, content.dtype, content.shape});
  auto layout = io::LayOutSafetensors(tensors, {{"format", "pt"}});
  ASSERT_TRUE(layout.ok()) << layout.status().ToString();
  std::string file = layout->prefix;
  for (const auto& tensor : layout->header.tensors) file += model.at(tensor.name).bytes;
  WriteFile(path, file);
}

inline Model ReadModel(const fs::path& path) {
  const std::string file = ReadFile(path);
  auto header = io::ReadSafetensorsHeader(MemorySource(file));
  EXPECT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header->metadata, (io::SafetensorsMetadata{{"format", "pt"}}));
  Model model;
  for (const auto& tensor : header->tensors) {
    model[tensor.name] = {tensor.dtype, tensor.shape,
                          file.substr(tensor.begin, tensor.end - tensor.begin)};
  }
  return model;
}

inline make::QuantizeOptions To(make::QuantizeTarget target) {
  make::QuantizeOptions options;
  options.target = target;
  options.sync = false;
  return options;
}
inline const make::QuantizeOptions kInt8 = To(make::QuantizeTarget::kLlmInt8);

inline const Model kSmall = {
    {"model.embed_tokens.weight", F32({2, 2}, {1, 2, 3, 4})},
    {"model.layers.0.q_proj.weight", F32({3, 2}, {1, -0.5f, 0, 0, 0.25f, 63.5f / 127})},
    {"model.layers.0.q_proj.bias", F32({3}, {1, 2, 3})},
    {"model.norm.weight", F32({2}, {1, 1})},
    {"lm_head.weight", F32({2, 2}, {1, 2, 3, 4})},
    {"steps", Of<int64_t>(DType::kI64, {}, {7})},
};

}  // namespace qstore::testing
