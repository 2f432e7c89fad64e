// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of quanto.

namespace qstore::scheme {

/// int8 and FP8: "weight._data" and "weight._scale", in the weights' type.
const GridFormat& Quanto();

}  // namespace qstore::scheme
