// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "container/container.h"

namespace qstore::container {

/// Files of safetensors (Hugging Face): the head is the length field and the JSON header, then come
/// the tensors. docs/format.md, "Containers".
const Container& Safetensors();

}  // namespace qstore::container
