// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "codec/plane.h"
#include "qstore/status.h"

namespace qstore::codec {

/// Appends symbols below 16 as one plane, two to a symbol of the plane.
/// docs/format-coding.md, "Nibbles".
void EncodeNibbles(Effort effort, std::span<const uint8_t> nibbles, PlaneScratch* scratch,
                   std::vector<std::byte>* out);

/// The inverse; fills `nibbles`. See DecodePlane on slack.
Status DecodeNibbles(base::ByteReader* payload, PlaneScratch* scratch, std::span<uint8_t> nibbles);

}  // namespace qstore::codec
