// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Scales of NF4 and FP4 with double quantization given the weights, the scales of these scales,
/// their map and the state that names their offset. docs/format-grids.md, "Nested scales".
const Scheme& NestedScales();

}  // namespace qstore::scheme
