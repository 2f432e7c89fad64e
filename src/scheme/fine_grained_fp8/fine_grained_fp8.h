// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

namespace qstore::scheme {

/// FP8 with an F32 scale for each block, as transformers ("fp8") and DeepSeek-V3 store it:
/// "weight" and "weight_scale_inv". docs/format-grids.md, "Formats".
const GridFormat& FineGrainedFp8();

}  // namespace qstore::scheme
