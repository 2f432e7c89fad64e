// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of compressed-tensors (vLLM project). docs/format-grids.md, "Formats".

namespace qstore::scheme {

/// "float-quantized" and "int-quantized": a byte for each weight.
const GridFormat& CompressedTensors();

/// "pack-quantized", "nvfp4-pack-quantized" and "mxfp4-pack-quantized".
const GridFormat& CompressedTensorsPacked();

}  // namespace qstore::scheme
