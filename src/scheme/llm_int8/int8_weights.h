// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "scheme/quantized_weights.h"
#include "scheme/tensor_table.h"

namespace qstore::scheme {

/// "P" for a matrix "P.weight" of signed bytes.
std::optional<std::string_view> ModuleOfInt8(const TensorDesc& tensor);

/// P.weight I8 [rows, ...] at `codes`, P.SCB F32 [rows], and P.weight_format where there is one.
std::unique_ptr<const QuantizedWeights> FindInt8Weights(size_t codes, const TensorTable& table,
                                                        Refusal* refusal);

}  // namespace qstore::scheme
