// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/gptq/gptq_shape.h"
#include "scheme/gptq/gptq_tensor.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// The tensors of a module quantized by GPTQ, as positions in their table.
struct GptqParts {
  GptqShape shape;
  DType scales_dtype = DType::kF16;
  size_t weights = 0;
  size_t scales = 0;
  size_t zeros = 0;
  std::optional<size_t> groups;
};

inline constexpr std::string_view kQWeight = "qweight";

/// Those of the module, when their types and shapes fit one another.
std::optional<GptqParts> FindGptqParts(std::string_view module, const TensorTable& table);

/// How a qweight of that shape is cut: whole inputs, as many for every number of bits; nothing when
/// a chunk would be larger than 16 MiB.
std::optional<Packing> GptqPacking(const GptqShape& shape);

/// What weights are coded by, as objects: scales, zero points and, when `has_groups`, groups, in
/// this order. A shape that all of them fit. `weights` are words.
struct GptqSides {
  DType scales_dtype = DType::kF16;
  bool has_groups = false;
  size_t count() const { return has_groups ? 3 : 2; }
};
Result<GptqShape> CheckGptq(const ObjectSpec& weights, const GptqSides& sides,
                            std::span<const ObjectSpec> parents);

/// The tensor that such contents make; `weights` may be empty, or of some outputs only.
GptqTensor GptqTensorOf(const GptqShape& shape, const GptqSides& sides,
                        std::span<const std::byte> weights, std::span<const ParentContent> parents);

/// Adds the parts that GptqSides counts.
void AddSides(const GptqParts& parts, bool is_own, std::vector<ParentRef>* parents);

}  // namespace qstore::scheme
