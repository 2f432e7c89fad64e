// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/plane.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::codec {

/// Scratch planes of the codecs in this folder; grown as needed, reused from chunk to chunk.
struct PlaneScratch {
  std::vector<uint8_t> planes[8];
  /// Plane `index` with room for `count` symbols and the kernels' slack.
  uint8_t* Get(size_t index, size_t count);
};

/// True for the types EncodeFloats takes: F16, BF16, F32.
bool IsCodedFloat(DType dtype);

/// Appends the values (patterns of `dtype`, little-endian, raw.size() a multiple of the element):
/// exponent and leading mantissa bits as an entropy-coded plane, sign and the rest as near-raw
/// planes, rare small values listed. docs/format-coding.md, "Floats".
void EncodeFloats(DType dtype, Effort effort, std::span<const std::byte> raw, PlaneScratch* scratch,
                  std::vector<std::byte>* out);

/// The inverse; fills `raw`. kCorrupt when `payload` is not such a stream. See DecodePlane on
/// slack.
Status DecodeFloats(DType dtype, base::ByteReader* payload, PlaneScratch* scratch,
                    std::span<std::byte> raw);

}  // namespace qstore::codec
