// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid.h"

namespace qstore::scheme {

/// That of LLM.int8() (Dettmers et al. 2022, bitsandbytes): a row of weights w has the codes
/// round_half_even(f32(w) * s), with s = f32(127) / absmax, all in IEEE single precision. Its scale
/// is absmax = max |w| of the row. There are bins unless absmax is infinite or below 2^-100, where
/// subnormals might decide a bin, which hosts may have flushed to zero.
const Grid& Int8Grid();

}  // namespace qstore::scheme
