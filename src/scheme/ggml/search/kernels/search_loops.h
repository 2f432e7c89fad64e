// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/affine_blocks.h"
#include "scheme/ggml/search/kernels/listed_blocks.h"
#include "scheme/ggml/search/kernels/search_kernels.h"
#include "scheme/ggml/search/kernels/symmetric_blocks.h"

namespace qstore::scheme::ggml {
namespace {

constexpr SearchKernels kSearchLoops = {
    .q2_k = QuantizeAffineBlocks<Q2K>,
    .q3_k = QuantizeQ3K,
    .q4_k = QuantizeAffineBlocks<Q4K>,
    .q5_k = QuantizeAffineBlocks<Q5K>,
    .q6_k = QuantizeQ6K,
    .iq4_nl = QuantizeIq4Nl,
    .iq4_xs = QuantizeIq4Xs,
};

}  // namespace
}  // namespace qstore::scheme::ggml
