// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Tensors of GGUF files given the weights that they are made of: blocks as ggml makes them, floats
/// as they are rounded. docs/format-ggml.md, "Scheme".
const Scheme& Ggml();

}  // namespace qstore::scheme
