// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid_format.h"

// Formats of bitsandbytes. docs/format-grids.md, "Formats".

namespace qstore::scheme {

/// LLM.int8(): "weight" I8 and "SCB", the F32 absmax of each row.
const GridFormat& BitsandbytesInt8();

/// NF4 and FP4: "weight" U8, "weight.absmax" and a state whose name tells the numbers.
const GridFormat& BitsandbytesFourBits();

}  // namespace qstore::scheme
