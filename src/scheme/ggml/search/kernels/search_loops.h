// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/ggml/search/kernels/affine_blocks.h"
#include "scheme/ggml/search/kernels/float_blocks.h"
#include "scheme/ggml/search/kernels/listed_blocks.h"
#include "scheme/ggml/search/kernels/search_kernels.h"
#include "scheme/ggml/search/kernels/small_blocks.h"
#include "scheme/ggml/search/kernels/symmetric_blocks.h"
#include "scheme/ggml/search/kernels/ternary_blocks.h"

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
    .q4_0 = QuantizeSmall<SmallType<4, false>>,
    .q4_1 = QuantizeSmall<SmallType<4, true>>,
    .q5_0 = QuantizeSmall<SmallType<5, false>>,
    .q5_1 = QuantizeSmall<SmallType<5, true>>,
    .q8_0 = QuantizeQ8,
    .tq1_0 = QuantizeTq1,
    .tq2_0 = QuantizeTq2,
    .mxfp4 = QuantizeMxfp4,
    .nvfp4 = QuantizeNvfp4,
};

}  // namespace
}  // namespace qstore::scheme::ggml
