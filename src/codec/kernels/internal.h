// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/kernels/kernels.h"

namespace qstore::codec {

// One table for each instruction set; those of another architecture are not there to link with.
extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx2ShuffleKernels;  // Without PDEP and PEXT.
extern const Kernels kAvx512Kernels;

/// The definitions, for the ends of vector loops.
namespace scalar {

void Unpack(const uint8_t* in, unsigned width, size_t count, uint8_t* out);
void Pack(const uint8_t* in, unsigned width, size_t count, uint8_t* out);
void SplitFloat16(const uint8_t* in, size_t count, unsigned base, unsigned shift, uint8_t* symbol,
                  uint8_t* rest);
void MergeNibbles(const uint8_t* high, const uint8_t* low, size_t count, uint8_t* out);
void SplitNibbles(const uint8_t* in, size_t count, uint8_t* high, uint8_t* low);
void MergeFloat16(const uint8_t* symbol, const uint8_t* rest, size_t count, unsigned base,
                  unsigned shift, uint8_t* out);
void MergeFloat32(const uint8_t* symbol, const uint8_t* rest0, const uint8_t* rest1,
                  const uint8_t* rest2, size_t count, unsigned base, unsigned shift, uint8_t* out);
size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places);
void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out);
void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks);
void PutBins16(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
               uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
               BinSinks* sinks);
void Bins16(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
            BitCursor* extra_bits, uint8_t* out);
void Finish16(const uint8_t* q, const uint8_t* index, size_t count, const uint16_t first[kBinCount],
              unsigned shift, WideCursor* wide, uint8_t* out);

}  // namespace scalar

/// Of kAvx2Kernels and kAvx512Kernels, in files of their own.
namespace avx2 {

size_t RansRounds(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                  size_t rounds, uint32_t* states, uint8_t* out);
size_t RansSymbols(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                   size_t rounds, uint32_t* states, uint8_t* out);
size_t PutRansRounds(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                     size_t rounds, uint32_t* states, uint16_t* end);
size_t PutRansSymbols(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
                      size_t rounds, uint32_t* states, uint16_t* end);

}  // namespace avx2

namespace avx512 {

void Huffman32(const uint16_t* table, const uint8_t* data, size_t size, uint32_t* positions,
               size_t rounds, uint8_t* out);
void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out);
void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks);
void PutBins16(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
               uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
               BinSinks* sinks);
void PutHuffman32(const uint32_t* codes, const uint8_t* symbols, size_t rounds, BitSink* streams);
void PutResidual16(const uint8_t* q, const uint8_t* values, size_t count, const ResidualRun* run,
                   uint32_t place, ResidualSinks* sinks, uint8_t* nibbles);
void Residual16(const uint8_t* q, const uint8_t* nibbles, const ResidualRun* runs, size_t run_count,
                BitCursor* low_bits, BitCursor* extra_bits, uint8_t* out);
void IntegerResidual(const uint8_t* parent, const uint8_t* nibbles, const uint8_t* low,
                     size_t count, const IntegerRun* run, uint8_t* q);

}  // namespace avx512
}  // namespace qstore::codec
