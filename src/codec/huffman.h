// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace qstore::codec {

// Length-limited canonical Huffman codes over bytes. Codes are sent least significant bit first, so
// that a decoder indexes its table with the low bits of a window. docs/format-coding.md, "Huffman
// code".

inline constexpr unsigned kMaxCodeLength = 12;
inline constexpr unsigned kDecodeTableSize = 1u << kMaxCodeLength;

using Histogram = std::array<uint32_t, 256>;
/// Code length of every symbol; 0 means the symbol does not occur.
using CodeLengths = std::array<uint8_t, 256>;

/// Code lengths of at most kMaxCodeLength for the given counts, complete (Kraft sum 1).
/// REQUIRES: at least two symbols have a count.
CodeLengths MakeCodeLengths(const Histogram& counts);

/// True when the lengths are those of a complete code: in range, Kraft sum exactly 1.
bool IsCompleteCode(const CodeLengths& lengths);

/// The canonical codes, bit-reversed: symbols by (length, value) get increasing codes.
std::array<uint16_t, 256> MakeCodes(const CodeLengths& lengths);

/// Entry for the next kMaxCodeLength bits: symbol << 8 | length. One spare entry behind the table
/// lets a kernel read four bytes at any entry.
using DecodeTable = std::array<uint16_t, kDecodeTableSize + 1>;

/// REQUIRES: IsCompleteCode(lengths).
void MakeDecodeTable(const CodeLengths& lengths, DecodeTable* table);

/// Counts bytes, anew.
void CountBytes(const uint8_t* bytes, size_t count, Histogram* counts);

/// Sum of -log2(p) over all symbols counted, in bits.
double EntropyBits(const Histogram& counts);

/// Sum of code length times count, in bits.
uint64_t CodedBits(const Histogram& counts, const CodeLengths& lengths);

}  // namespace qstore::codec
