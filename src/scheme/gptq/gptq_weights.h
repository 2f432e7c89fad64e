// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "scheme/quantized_weights.h"
#include "scheme/tensor_table.h"

namespace qstore::scheme {

/// "P" for a tensor "P.qweight".
std::optional<std::string_view> ModuleOfGptq(const TensorDesc& tensor);

/// The tensors of gptq_tensor.h. Unlike those that explain other weights they may lack qzeros where
/// g_idx tells the number of inputs, and their last group may be smaller.
std::unique_ptr<const QuantizedWeights> FindGptqWeights(size_t codes, const TensorTable& table,
                                                        Refusal* refusal);

}  // namespace qstore::scheme
