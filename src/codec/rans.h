// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "qstore/status.h"

namespace qstore::codec {

// Range asymmetric numeral systems (Duda 2013), 32 interleaved states over one stream of 16-bit
// words. Symbol i belongs to state i mod 32. The encoder runs from the last symbol to the first, so
// that the decoder runs forwards. docs/format-coding.md, "rANS".

inline constexpr unsigned kRansScaleBits = 14;

/// Frequencies that sum to 2^scale_bits; every symbol counted has at least 1.
/// REQUIRES: at least two symbols counted; scale_bits >= 8.
Histogram NormalizeFrequencies(const Histogram& counts, unsigned scale_bits = kRansScaleBits);

/// Bits that `counts` take under `frequencies`.
double RansBits(const Histogram& counts, const Histogram& frequencies);

/// Appends the stream of `symbols`: frequencies, states, words.
void EncodeRans(std::span<const uint8_t> symbols, const Histogram& frequencies,
                std::vector<std::byte>* out);

/// The inverse: `count` symbols to `out`. kCorrupt when the frequencies do not sum up, words are
/// missing or left over, or the states do not end where encoding began.
Status DecodeRans(base::ByteReader* payload, size_t count, uint8_t* out);

}  // namespace qstore::codec
