// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The machine-specific loops, as a table of functions for each instruction set. Kernels allocate
// nothing, check nothing but what a comment says, and read and write only what their arguments
// span. Elements wider than a byte are little-endian at any alignment. The scalar table is the
// definition; every other one gives the same bytes.

namespace qstore::codec {

/// Bytes behind every bit stream that a kernel may read (never use). Payloads end with as many
/// zeros.
inline constexpr size_t kReadSlack = 8;

/// Symbols a stream gives in one round of the Huffman decoder.
inline constexpr size_t kHuffmanRun = 4;
inline constexpr size_t kHuffmanStreams = 32;

/// rANS: states that take turns, and where they take a word. An entry of a decoder's table, for
/// each value of a state's low kRansTableBits bits: the symbol, what the state becomes beyond a
/// multiple of the symbol's frequency (<< 8, 12 bits), and the frequency less 1 (<< 20).
inline constexpr size_t kRansStates = 32;
inline constexpr unsigned kRansTableBits = 12;
inline constexpr uint32_t kRansLow = 1u << 16;
/// Bytes behind the words taken that a round of the decoder may read.
inline constexpr size_t kRansReadAhead = 16;
/// Words before the first one that the encoder may write.
inline constexpr size_t kRansWordSlack = 8;

/// What the encoder of rANS knows of a symbol in a context. state / frequency is the upper half of
/// state * reciprocal; for a frequency of 1 it is 1 less, which the bias makes up for.
struct RansCode {
  uint64_t reciprocal;  ///< 2^64 / frequency, rounded up.
  uint32_t bias;        ///< Added to the state.
  uint32_t stretch;     ///< Where the symbol's slots begin, and the frequency less 1 (<< 12).
};

/// Magnitudes |q| of an int8 scheme.
inline constexpr size_t kBinCount = 128;

/// The bins of one row for targets whose index in a bin fits a byte (BF16).
struct BinTable8 {
  uint8_t width[kBinCount];      ///< Floor bits k of the truncated binary code, 0 to 7.
  uint8_t threshold[kBinCount];  ///< 2^(k+1) - n: floor values from here on have an extra bit.
  uint16_t first[kBinCount];     ///< Pattern of the first candidate; kWideBin when coded apart.
};

/// The same for wider bins (F16, and the upper part of the index for F32).
struct BinTable16 {
  uint16_t width[kBinCount];  ///< 0 to 13.
  uint16_t threshold[kBinCount];
  uint32_t first[kBinCount];
};

/// `first` of a bin whose members are coded apart; no finite magnitude has this pattern.
inline constexpr uint16_t kWideBin = 0x7fff;
inline constexpr uint32_t kWideBin32 = 0x7fffffff;

/// Places of a sequence of 16-bit words, chosen by content: word w before word x is one when
/// w * kPlaceFactor + x * kPlaceNextFactor + kPlaceOffset (mod 2^16) is below kPlaceLimit: one in
/// 1024 words of noise, and not among zeros.
inline constexpr uint16_t kPlaceFactor = 0x9e37;
inline constexpr uint16_t kPlaceNextFactor = 0x7f4b;
inline constexpr uint16_t kPlaceOffset = 0x55a3;
inline constexpr uint16_t kPlaceLimit = 64;
/// Entries that find_places may write beyond `most`.
inline constexpr size_t kPlaceSlack = 32;

/// A bit stream being read: bit `position` of `bytes`, which has `limit` bits.
struct BitCursor {
  const uint8_t* bytes;
  uint64_t position;
  uint64_t limit;
};

/// A bit stream being written at bit `position`. Eight bytes from there on are overwritten.
struct BitSink {
  uint8_t* bytes;
  uint64_t position;
};

/// Values of wide bins, two bytes each, being taken in order. kWideSlack bytes behind the last can
/// be read and are zero: what is taken beyond `count` is zero, and counted, so that the caller sees
/// it.
struct WideCursor {
  const uint8_t* values;
  size_t used;
  size_t count;
};
inline constexpr size_t kWideSlack = 64;

/// What the encoder of bins puts out: bits, and the values and places of elements without any.
struct BinSinks {
  BitSink floor_bits;
  BitSink extra_bits;
  uint8_t* wide;  ///< Values in wide bins, two bytes each; room for `count` and kWideSlack bytes.
  size_t wide_count;
  uint32_t* listed;  ///< Places of values outside their bin; room for `count`.
  size_t listed_count;
};

/// Weights that one scale and zero point of a GPTQ tensor predict. `scale` is 0 or finite, of a
/// magnitude of 2^-100 or more. docs/format-coding.md, "GPTQ floats".
struct ResidualRun {
  float scale;
  int32_t zero;       ///< 0 to 255.
  uint16_t exponent;  ///< The scale's as the target type has it, 1 or more.
  uint16_t width;     ///< Low bits of a residual in the scale's octave: at most mantissa bits + 1.
  uint32_t count;     ///< Weights; of the decoder's runs.
  bool is_bf16;       ///< Else F16.
};

/// What the encoder of residuals puts out beside nibbles.
struct ResidualSinks {
  BitSink low_bits;
  BitSink extra_bits;
  uint32_t* listed;  ///< Places of values that are listed.
  size_t listed_count;
};

/// Neighbouring columns of one input of a GPTQ tensor that another one predicts; arrays by column.
/// docs/format-coding.md, "GPTQ integers".
struct IntegerRun {
  const float* ratio;  ///< The parent's scale over the own one.
  const uint8_t* parent_zero;
  const uint8_t* zero;
  unsigned bits;   ///< Of an own integer, 1 to 8.
  unsigned width;  ///< Low bits of a residual, at most bits - 4, or 0.
};

struct Kernels {
  const char* name;  ///< "scalar", "avx2", "avx2_shuffles" (see base::HasFastDeposit) or "avx512".

  /// `rounds` rounds of a Huffman plane with 32 streams. `positions` are bit offsets in `data`, of
  /// which `size` bytes can be read; windows are clamped to lie inside. Writes 128 bytes a round.
  void (*huffman32)(const uint16_t* table, const uint8_t* data, size_t size, uint32_t* positions,
                    size_t rounds, uint8_t* out);

  /// The inverse: appends `rounds` rounds of symbols to 32 streams. `codes` has for every symbol
  /// its code << 8 | length, of at most 12 bits. Writes up to kReadSlack bytes behind each stream.
  void (*put_huffman32)(const uint32_t* codes, const uint8_t* symbols, size_t rounds,
                        BitSink* streams);

  /// Rounds of rANS: the next symbol of each state, which takes words in this order. Round r has
  /// the table `contexts[r]`. Returns how many words were taken, at most kRansStates a round.
  /// `words` can be read kRansReadAhead bytes beyond these.
  size_t (*rans_rounds)(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                        size_t rounds, uint32_t* states, uint8_t* out);
  /// The same with a context for each symbol.
  size_t (*rans_symbols)(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                         size_t rounds, uint32_t* states, uint8_t* out);

  /// The inverse of rans_rounds: from the last round and symbol to the first. `codes` has 256 for
  /// each context. Words are put before `end`; returns how many.
  size_t (*put_rans_rounds)(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                            size_t rounds, uint32_t* states, uint16_t* end);
  /// The inverse of rans_symbols.
  size_t (*put_rans_symbols)(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                             size_t rounds, uint32_t* states, uint16_t* end);

  /// Unpacks `count` symbols of `width` bits (1 to 7), least significant bit first. `in` can be
  /// read kReadSlack bytes beyond the last symbol.
  void (*unpack)(const uint8_t* in, unsigned width, size_t count, uint8_t* out);

  /// The inverse. Bits above `width` of a symbol are lost; writes up to kReadSlack bytes more.
  void (*pack)(const uint8_t* in, unsigned width, size_t count, uint8_t* out);

  /// Signed bytes from their nibbles, in blocks of 128: high[j] = top nibbles of elements j and
  /// j + 64, low[j] likewise. `count` elements; the last block of m has its halves (m + 1) / 2
  /// apart.
  void (*merge_nibbles)(const uint8_t* high, const uint8_t* low, size_t count, uint8_t* out);
  /// The inverse.
  void (*split_nibbles)(const uint8_t* in, size_t count, uint8_t* high, uint8_t* low);

  /// 16-bit floats: magnitude ((symbol + base) << shift) + low `shift` bits of rest; sign is bit
  /// `shift` of rest.
  void (*merge_float16)(const uint8_t* symbol, const uint8_t* rest, size_t count, unsigned base,
                        unsigned shift, uint8_t* out);
  /// The inverse for symbols that fit: smaller leading parts become symbol 0.
  void (*split_float16)(const uint8_t* in, size_t count, unsigned base, unsigned shift,
                        uint8_t* symbol, uint8_t* rest);
  /// 32-bit floats: as merge_float16, with rest = rest0 | rest1 << 8 | rest2 << 16.
  void (*merge_float32)(const uint8_t* symbol, const uint8_t* rest0, const uint8_t* rest1,
                        const uint8_t* rest2, size_t count, unsigned base, unsigned shift,
                        uint8_t* out);

  /// The places among the first `count` words, of which there is one more: their indices, in order.
  /// Returns how many there are, or most + 1 when there are more than `most`.
  size_t (*find_places)(const uint8_t* words, size_t count, size_t most, uint32_t* places);

  /// The bins of a BF16 row whose largest magnitude is `absmax`, finite and at least 2^-100, with
  /// candidates that are multiples of 2^shift (0 to 7): as from scheme/llm_int8/int8_grid.h. False,
  /// and no table, for some rows whose magnitudes are so small or so large that bins are irregular.
  bool (*bf16_bins)(float absmax, unsigned shift, BinTable8* table);

  /// 16-bit patterns from integers and truncated binary codes: `count` elements of one row. The
  /// magnitude is (first + index) << shift, the sign that of q; elements of wide bins are taken
  /// from `wide`. Reading a stream beyond its limit yields zero bits and moves the position on, so
  /// that the caller sees it.
  void (*bins8)(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
                BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out);
  /// The inverse: `count` elements of one row, in 16-bit patterns, of which the first has the place
  /// `place` in its chunk. Candidates are the multiples of 2^shift. Elements outside their bin are
  /// listed and coded as index 0.
  void (*put_bins8)(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
                    uint32_t place, const BinTable8* table, BinSinks* sinks);
  /// The same for wider bins of 16-bit targets; `first` as in finish16.
  void (*put_bins16)(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
                     uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
                     BinSinks* sinks);
  /// The index in the bin only: out[i] = index; 0 for wide bins.
  void (*bins16)(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
                 BitCursor* extra_bits, uint8_t* out);

  /// The other half of bins8, for indices that are there already: 16 bits each, `first` being
  /// kWideBin for wide bins.
  void (*finish16)(const uint8_t* q, const uint8_t* index, size_t count,
                   const uint16_t first[kBinCount], unsigned shift, WideCursor* wide, uint8_t* out);

  /// 16-bit patterns of runs that follow one another from a parent's integers, the residuals' upper
  /// parts (0 to 15) and two bit streams, which are read as by bins8.
  void (*residual16)(const uint8_t* q, const uint8_t* nibbles, const ResidualRun* runs,
                     size_t run_count, BitCursor* low_bits, BitCursor* extra_bits, uint8_t* out);
  /// The inverse of one run. The first value has the place `place` in its chunk; values too far off
  /// are listed and coded as what the parent predicts.
  void (*put_residual16)(const uint8_t* q, const uint8_t* values, size_t count,
                         const ResidualRun* run, uint32_t place, ResidualSinks* sinks,
                         uint8_t* nibbles);

  /// Integers from a parent's and the residuals' upper and lower parts.
  void (*integer_residual)(const uint8_t* parent, const uint8_t* nibbles, const uint8_t* low,
                           size_t count, const IntegerRun* run, uint8_t* q);
  /// What the integers are more than the parent's predict, modulo 2^bits: -2^(bits - 1) to
  /// 2^(bits - 1) - 1, in two's complement. `width` does not matter.
  void (*integer_differences)(const uint8_t* parent, const uint8_t* q, size_t count,
                              const IntegerRun* run, uint8_t* differences);
  /// The inverse of integer_residual; listed[i] is 1 where a residual does not fit, and is coded
  /// as 0.
  void (*put_integer_residual)(const uint8_t* parent, const uint8_t* q, size_t count,
                               const IntegerRun* run, uint8_t* nibbles, uint8_t* low,
                               uint8_t* listed);

  /// Integers of `rows` inputs by `columns` outputs, from `words` (rows * bits / 32 rows of
  /// `columns` words, each column a stream of fields, lowest bits first) to `out` (rows of
  /// `columns` bytes). `bits` is 2, 3, 4 or 8; rows * bits a multiple of 32.
  void (*unpack_inputs)(const uint8_t* words, unsigned bits, size_t rows, size_t columns,
                        uint8_t* out);
  /// The inverse, for integers below 2^bits.
  void (*pack_inputs)(const uint8_t* in, unsigned bits, size_t rows, size_t columns,
                      uint8_t* words);
  /// Words of 32 bits from rows to columns: word r of out's row c is word c of in's row r. Pitches
  /// are the bytes from row to row.
  void (*transpose_words)(const uint8_t* in, size_t in_pitch, size_t rows, size_t columns,
                          uint8_t* out, size_t out_pitch);
};

/// The table for the best instruction set of this machine, or the one QSTORE_ISA names when the
/// machine has it. Thread-safe; fixed at first use.
const Kernels& ActiveKernels();

/// The table of that name when this machine can run it, else null.
const Kernels* KernelsByName(const char* name);

}  // namespace qstore::codec
