// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Floats given their LLM.int8() twin (Dettmers et al. 2022, bitsandbytes): a signed byte for each
/// weight and SCB, the F32 absmax of each row. docs/format-coding.md, "LLM.int8".
const Scheme& LlmInt8();

}  // namespace qstore::scheme
