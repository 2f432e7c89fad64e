// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Packed integers of AWQ (Lin et al. 2023), as AutoAWQ stores them, given the 16-bit weights that
/// they were made of. docs/format-grids.md, "AWQ codes".
const Scheme& AwqCodes();

}  // namespace qstore::scheme
