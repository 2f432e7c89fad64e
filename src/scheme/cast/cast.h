// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Floats given the same numbers in another float type. docs/format-coding.md, "Cast".
const Scheme& Cast();

}  // namespace qstore::scheme
