// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of ModelOpt that no other tool has. Its FP8 is named as compressed-tensors names it.

namespace qstore::scheme {

/// NVFP4: "weight" U8, "weight_scale" F8_E4M3 and "weight_scale_2", an F32 that scales are
/// multiplied with.
const GridFormat& ModeloptNvfp4();

}  // namespace qstore::scheme
