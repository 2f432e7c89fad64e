// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// NVFP4 codes and scales that were cast from those of MXFP4, without weights of 16 bits.
/// docs/format-grids.md, "Casts of MXFP4".
const Scheme& Mxfp4Cast();

}  // namespace qstore::scheme
