// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "container/container.h"

namespace qstore::container {

/// GGUF, versions 2 and 3, little-endian: docs/format-ggml.md. Files whose types of tensors are not
/// all known are none.
const Container& Gguf();

}  // namespace qstore::container
