// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// 16-bit floats given their GPTQ twin (Frantar et al. 2022; AutoGPTQ, GPTQModel).
/// docs/format-coding.md, "GPTQ floats".
const Scheme& GptqFloats();

/// Packed integers of GPTQ given those of the same weights in other bits. docs/format-coding.md,
/// "GPTQ integers".
const Scheme& GptqIntegers();

/// Packed integers given the 16-bit weights that they were made of.
const Scheme& GptqCodes();

}  // namespace qstore::scheme
