// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "qstore/status.h"

namespace qstore::codec {

// Symbols by rANS (rans.h), each with the frequencies of its context, which the decoder knows
// beforehand. All contexts share the states and the words, so that one of few symbols takes little
// more than these do. docs/format-coding.md, "Context rANS".

inline constexpr unsigned kContextScaleBits = 12;
inline constexpr size_t kMaxContexts = 64;

/// Tables of a decoder, and words of an encoder.
struct ContextRansScratch {
  std::vector<uint8_t> symbol_of;   // By context and slot.
  std::vector<uint32_t> stretches;  // By context and symbol: start << 16 | frequency.
  std::vector<uint16_t> words;
};

/// Appends the stream of `symbols`. REQUIRES: contexts are below `context_count`, which is at most
/// kMaxContexts.
void EncodeContextRans(std::span<const uint8_t> symbols, std::span<const uint8_t> contexts,
                       size_t context_count, ContextRansScratch* scratch,
                       std::vector<std::byte>* out);

/// The inverse: a symbol for each context, to `out`. kCorrupt when the frequencies do not sum up,
/// words are missing or left over, or the states do not end where encoding began.
Status DecodeContextRans(base::ByteReader* payload, std::span<const uint8_t> contexts,
                         size_t context_count, ContextRansScratch* scratch, uint8_t* out);

}  // namespace qstore::codec
