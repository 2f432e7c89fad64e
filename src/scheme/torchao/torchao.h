// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of torchao, as it flattens them for safetensors.

namespace qstore::scheme {

/// int8 and FP8: "_weight_qdata" and "_weight_scale", F32.
const GridFormat& Torchao();

}  // namespace qstore::scheme
