// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "qstore/dtype.h"

namespace qstore::container {

/// The type of that number in a GGUF file, or nothing.
std::optional<DType> DTypeOfGgml(uint32_t number);
/// The inverse, for the types that DTypeOfGgml gives.
std::optional<uint32_t> GgmlOfDType(DType dtype);

}  // namespace qstore::container
