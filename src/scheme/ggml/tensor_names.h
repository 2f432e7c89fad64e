// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "scheme/tensor_table.h"

namespace qstore::scheme::ggml {

/// The tensors of `other` that may be the one that a GGUF file calls `name`: that of equal name, or
/// those that architectures have in its place. Names tell no more than where to look.
std::vector<size_t> TensorsLike(std::string_view name, const TensorTable& other);

/// The tensors of `other` that may be the matrices of a stacked one, in order: those of the experts
/// of a block. Empty where there are not `count` of them.
std::vector<size_t> ExpertsLike(std::string_view name, uint64_t count, const TensorTable& other);

/// Whether a checkpoint's tensor is named as those that GPT-2 has transposed: the weights of a
/// Conv1D, but also of other modules.
bool IsLikeConv1d(std::string_view name);

/// Of which part of a block a GGUF name is: "attn_q" of "blk.7.attn_q.weight"; empty for others.
std::string_view BlockPartOf(std::string_view name);

}  // namespace qstore::scheme::ggml
