// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "container/container.h"

namespace qstore::container {

/// Importance matrices in the form that llama-imatrix wrote before it wrote GGUF:
/// docs/format-ggml.md, "Importance files". For the tensor `T` there are `T.calls` and `T.values`.
const Container& Imatrix();

}  // namespace qstore::container
