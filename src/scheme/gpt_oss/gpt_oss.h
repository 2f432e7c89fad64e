// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Weights of experts that are the numbers of MXFP4 codes times their scales, with inputs and
/// outputs exchanged, as gpt-oss is released. docs/format-grids.md, "Values of experts".
const Scheme& ExpertValues();

}  // namespace qstore::scheme
