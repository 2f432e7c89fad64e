// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "qstore/status.h"

namespace qstore::codec {

// Symbols by rANS (rans.h), each with the frequencies of its context, which the decoder knows
// beforehand. All contexts share the states and the words, so that one of few symbols takes little
// more than these do. docs/format-coding.md, "Context rANS".

inline constexpr size_t kMaxContexts = 64;

/// Which context each symbol has: symbol i that of number i >> shift.
struct Contexts {
  std::span<const uint8_t> of;
  unsigned shift = 0;  ///< 0, or 5: one for each round of the 32 states.
  size_t count = 1;    ///< Each is below; at most kMaxContexts.
};
inline constexpr unsigned kRoundShift = 5;

/// Tables, and words of an encoder; kept from chunk to chunk.
struct ContextRansScratch {
  std::vector<uint32_t> tables;  // By context and slot, see kRansTableBits.
  std::vector<RansCode> codes;   // By context and symbol.
  std::vector<Histogram> counts;
  std::unique_ptr<uint16_t[]> words;
  size_t word_room = 0;
};

/// What a decoder takes for `contexts`.
constexpr uint64_t ContextRansBytes(uint64_t contexts) {
  return contexts * (uint64_t{4} << kRansTableBits);
}

/// Counts the symbols of each context, to scratch->counts.
void CountByContext(std::span<const uint8_t> symbols, const Contexts& contexts,
                    ContextRansScratch* scratch);

/// Appends the stream of `symbols`, of which scratch->counts tells.
void EncodeContextRans(std::span<const uint8_t> symbols, const Contexts& contexts,
                       ContextRansScratch* scratch, std::vector<std::byte>* out);

/// Bytes that this takes, about.
double ContextRansCost(const Histogram& counts);

/// The inverse: `count` symbols, to `out`. kCorrupt when the frequencies do not sum up, words are
/// missing or left over, or the states do not end where encoding began.
Status DecodeContextRans(base::ByteReader* payload, const Contexts& contexts, size_t count,
                         ContextRansScratch* scratch, uint8_t* out);

}  // namespace qstore::codec
