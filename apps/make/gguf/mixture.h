// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "make/gguf/targets.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

// Which type each tensor of a GGUF file gets. docs/format-ggml.md, "Mixtures".

namespace qstore::make {

/// What the rule asks about a model.
struct MixtureModel {
  std::string architecture;
  uint64_t layers = 0;
  uint64_t experts = 0;
  uint64_t heads = 0;     ///< Of the first layer.
  uint64_t kv_heads = 0;  ///< Likewise.
};

struct MixtureTensor {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;  ///< The outermost dimension first.
};

struct MixtureOptions {
  GgufTarget target;
  bool pure = false;
  bool keep_output = false;
  bool has_importance = false;
  std::optional<DType> output_type;
  std::optional<DType> embedding_type;
};

/// Whether the first goes before the second in a file that llama.cpp writes.
bool ComesBefore(std::string_view first, std::string_view second);

/// Dimensions that count: those behind the outermost ones of size 1, but at least one.
std::span<const uint64_t> CountedShape(std::span<const uint64_t> shape);

/// The types that tensors get, which must be in the order of ComesBefore: that of the target, of
/// the mixture or, where a tensor stays as it is, its own.
/// Errors: kInvalidArgument naming the tensor.
Result<std::vector<DType>> MixTypes(const MixtureModel& model, const MixtureOptions& options,
                                    std::span<const MixtureTensor> tensors);

}  // namespace qstore::make
