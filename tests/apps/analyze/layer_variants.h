// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "analyze/layers.h"
#include "analyze/weights.h"
#include "unit/checkpoint/gptq_model.h"

namespace qstore::testing {

/// The layer `module` of a model.
inline analyze::LayerVariant VariantOf(const std::filesystem::path& path,
                                       const std::string& module) {
  auto model = Checkpoint::Open(path);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  const auto shared = std::make_shared<const Checkpoint>(std::move(model).value());
  const auto index = shared->FindMatrix(module);
  EXPECT_TRUE(index.has_value()) << module;
  const WeightMatrix matrix = shared->matrix(*index);
  EXPECT_TRUE(matrix.problem.ok()) << matrix.problem.ToString();
  return {shared, *index, matrix};
}

inline std::vector<uint16_t> Symbols(const analyze::LayerVariant& variant) {
  std::vector<uint16_t> symbols;
  EXPECT_TRUE(analyze::ReadSymbols(variant, 0, variant.matrix.rows, &symbols).ok());
  return symbols;
}

}  // namespace qstore::testing
