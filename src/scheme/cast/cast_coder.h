// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::scheme {

/// Appends floats (`raw`, patterns of `dtype`) given the same numbers in another float type
/// (`parent`, patterns of `parent_dtype`; as many). Codes the difference of ordinals to the
/// parent's value cast to `dtype` (round to nearest, ties to even): all zeros, and next to no
/// bytes, where one is the cast of the other. Types: F16, BF16, F32. docs/format-coding.md, "Cast
/// delta".
void EncodeCastDelta(DType dtype, DType parent_dtype, codec::Effort effort,
                     std::span<const std::byte> raw, std::span<const std::byte> parent,
                     codec::PlaneScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `raw`.
Status DecodeCastDelta(DType dtype, DType parent_dtype, base::ByteReader* payload,
                       std::span<const std::byte> parent, codec::PlaneScratch* scratch,
                       std::span<std::byte> raw);

}  // namespace qstore::scheme
