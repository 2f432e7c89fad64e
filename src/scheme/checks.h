// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"

// Rules that several schemes have.

namespace qstore::scheme {

/// Reads a type from a byte of parameters. Errors: kCorrupt, a number that is no type of coded
/// floats.
Result<DType> FloatTypeOf(std::byte param);

/// Whether elements are F16 or BF16.
inline bool Is16Bit(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16; }

/// Scales, zero points and the like are held in memory whole. Errors: kLimit.
Status CheckSmall(const ObjectSpec& parent);

/// kCorrupt, saying that so many bytes of parameters and parents are wanted, unless there are.
Status CheckCounts(std::span<const ObjectSpec> parents, size_t parent_count,
                   std::span<const std::byte> params, size_t param_count);

/// How well parents explain elements of which so many had to be listed.
Fit FitOfListed(size_t listed, uint64_t elem_count);

}  // namespace qstore::scheme
