// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "qstore/status.h"

namespace qstore::codec {

/// Appends signed bytes: their top nibbles, two to a symbol, as one plane, the low nibbles as
/// another; with rANS, the top five bits and the low three. docs/format-coding.md, "Int8".
void EncodeInt8(Effort effort, std::span<const std::byte> raw, PlaneScratch* scratch,
                std::vector<std::byte>* out);

/// The inverse; fills `raw`.
Status DecodeInt8(base::ByteReader* payload, PlaneScratch* scratch, std::span<std::byte> raw);

/// Appends `elem_bytes` byte planes of the elements, least significant first. REQUIRES:
/// elem_bytes in 1..8 and raw.size() a multiple of it. docs/format-coding.md, "Byte planes".
void EncodeBytePlanes(unsigned elem_bytes, Effort effort, std::span<const std::byte> raw,
                      PlaneScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `raw`.
Status DecodeBytePlanes(unsigned elem_bytes, base::ByteReader* payload, PlaneScratch* scratch,
                        std::span<std::byte> raw);

}  // namespace qstore::codec
