// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of MLX.

namespace qstore::scheme {

/// Affine codes of 2 to 8 bits: "weight" U32, "scales" and "biases" in the weights' type.
const GridFormat& Mlx();

}  // namespace qstore::scheme
