// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// Whether Dequantize knows the weights of that type: F32, F16, BF16, and the block types whose
/// codes stand for numbers (Q4_0 to Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, TQ2_0, MXFP4, NVFP4, ...).
QSTORE_EXPORT bool CanDequantize(DType dtype);

/// Fills `weights` with those that elements of a type stand for, bit for bit as ggml computes them.
/// Takes some 100 KiB of memory for each of `threads` (0: all processors this process may run on).
/// Errors: kInvalidArgument (a type without weights; `content` is not the elements of so many
/// weights), kLimit.
QSTORE_EXPORT Status Dequantize(DType dtype, std::span<const std::byte> content,
                                std::span<float> weights, unsigned threads = 0);

}  // namespace qstore
