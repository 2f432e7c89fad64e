// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/context_rans.h"
#include "codec/floating.h"
#include "qstore/status.h"

// Codes that lie near those that rounding gives, as calibrated quantizers choose them: how near
// depends on where between two codes a weight lies. docs/format-coding.md, "GPTQ codes".

namespace qstore::scheme {

/// Places between two codes, by the distance from the nearest one.
inline constexpr unsigned kNearPlaces = 16;
/// Set where a weight lies below its nearest code.
inline constexpr uint8_t kIsBelow = 0x80;

/// The place of a weight that is `offset` codes from its nearest one, and whether it lies below.
inline uint8_t NearPlace(float offset) {
  const float size = std::fabs(offset) * (2.0f * kNearPlaces);
  const float limit = kNearPlaces - 1;
  const auto place = static_cast<uint32_t>(static_cast<int32_t>(size < limit ? size : limit));
  return static_cast<uint8_t>(place | (offset < 0 ? kIsBelow : 0u));
}

struct NearScratch {
  std::vector<uint8_t> symbols;
  std::vector<uint8_t> contexts;
  codec::ContextRansScratch rans;
};
/// Bytes of a NearScratch, for so many codes and beside them.
inline constexpr uint64_t kNearScratchPerCode = 2;
inline constexpr uint64_t kNearScratch = codec::ContextRansBytes(kNearPlaces);

/// Appends codes of `bits` bits given the nearest ones and the places. At every level by rANS: most
/// symbols take less than a bit.
void EncodeNear(unsigned bits, std::span<const uint8_t> codes, std::span<const uint8_t> nearest,
                std::span<const uint8_t> places, NearScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `codes`. kCorrupt when `payload` is not such a stream.
Status DecodeNear(unsigned bits, base::ByteReader* payload, std::span<const uint8_t> nearest,
                  std::span<const uint8_t> places, NearScratch* scratch, std::span<uint8_t> codes);

}  // namespace qstore::scheme
