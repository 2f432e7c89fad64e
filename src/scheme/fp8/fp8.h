// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

// FP8 E4M3 with one BF16 scale a row or a tensor, as compressed-tensors stores it
// ("float-quantized"). docs/format-coding.md, "FP8".

namespace qstore::scheme {

/// BF16 weights given their FP8 codes.
const Scheme& Fp8();

/// FP8 codes given the BF16 weights that they were rounded from.
const Scheme& Fp8Codes();

}  // namespace qstore::scheme
