// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "qstore/status.h"

namespace qstore::codec {

/// Which codes an encoder may use.
enum class Effort : uint8_t {
  kHuffman,   ///< All but rANS.
  kRuns,      ///< And rANS with a table for each class of runs, which decodes about as fast.
  kFineRuns,  ///< The same, of symbols with fewer elements each.
  kRans,      ///< All, whatever decoding takes.
};

/// Appends the plane stream of `symbols`: one symbol repeated, packed bits, sparse, or the entropy
/// code that `effort` allows, whichever is smallest.
void EncodePlane(std::span<const uint8_t> symbols, Effort effort, std::vector<std::byte>* out);

/// Reads a plane stream of `count` symbols. Returns them: either in `scratch` (which has room for
/// count + kPlaneSlack bytes) or, when they lie unpacked in the payload, there. `payload` must have
/// kReadSlack bytes behind the stream.
Result<const uint8_t*> DecodePlane(base::ByteReader* payload, size_t count, uint8_t* scratch);

/// The same, of the classes of runs: these are in no runs.
Result<const uint8_t*> DecodeClassPlane(base::ByteReader* payload, size_t count, uint8_t* scratch);

/// Bytes that kernels may write behind the last symbol.
inline constexpr size_t kPlaneSlack = 64;

}  // namespace qstore::codec
