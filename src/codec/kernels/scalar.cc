// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "codec/kernels/bin_table_loops.h"
#include "codec/kernels/integer_loops.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/portable_loops.h"
#include "codec/kernels/put_residual_loops.h"
#include "codec/kernels/rans_loops.h"
#include "codec/kernels/residual_loops.h"
#include "codec/kernels/words_loops.h"

namespace qstore::codec {
namespace {

void Store16(uint8_t* at, uint32_t value) {
  const auto half = static_cast<uint16_t>(value);
  std::memcpy(at, &half, sizeof(half));
}

void StoreWord(uint8_t* at, uint64_t word) { std::memcpy(at, &word, sizeof(word)); }

constexpr uint64_t kHighNibbles = 0xf0f0f0f0f0f0f0f0u;

void PutBits(BitSink* sink, uint64_t value, unsigned count) {
  uint8_t* at = sink->bytes + (sink->position >> 3);
  const unsigned used = sink->position & 7;
  const uint64_t word = (*at & ((1u << used) - 1)) | value << used;
  std::memcpy(at, &word, sizeof(word));
  sink->position += count;
}

// Whether any of the next words is a place. Plain arrays and 16-bit lanes, for the compiler to
// vectorize.
template <size_t kCount>
bool AnyPlace(const uint8_t* words) {
  uint16_t word[kCount];
  uint16_t next[kCount];
  std::memcpy(word, words, sizeof(word));
  std::memcpy(next, words + 2, sizeof(next));
  uint16_t any = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const auto first = static_cast<uint16_t>(uint32_t{word[i]} * kPlaceFactor);
    const auto second = static_cast<uint16_t>(uint32_t{next[i]} * kPlaceNextFactor);
    const auto hash = static_cast<uint16_t>(first + second + kPlaceOffset);
    any = static_cast<uint16_t>(any | (hash < kPlaceLimit ? 1 : 0));
  }
  return any != 0;
}

}  // namespace

namespace scalar {

void Unpack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  const uint64_t mask = (uint64_t{1} << width) - 1;
  uint64_t position = 0;
  for (size_t i = 0; i < count; ++i, position += width) {
    uint16_t window;
    std::memcpy(&window, in + (position >> 3), sizeof(window));
    out[i] = static_cast<uint8_t>((window >> (position & 7)) & mask);
  }
}

void Pack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  BitSink sink{out, 0};
  out[0] = 0;
  const uint64_t mask = (uint64_t{1} << width) - 1;
  for (size_t i = 0; i < count; ++i) PutBits(&sink, in[i] & mask, width);
}

void SplitFloat16(const uint8_t* in, size_t count, unsigned base, unsigned shift, uint8_t* symbol,
                  uint8_t* rest) {
  const unsigned mask = (1u << shift) - 1;
  for (size_t i = 0; i < count; ++i) {
    uint16_t value;
    std::memcpy(&value, in + 2 * i, sizeof(value));
    const unsigned lead = (value & 0x7fffu) >> shift;
    symbol[i] = static_cast<uint8_t>(lead > base ? lead - base : 0);
    rest[i] = static_cast<uint8_t>((value & mask) | (value >> 15) << shift);
  }
}

void MergeNibbles(const uint8_t* high, const uint8_t* low, size_t count, uint8_t* out) {
  for (size_t begin = 0; begin < count; begin += 128) {
    const size_t n = count - begin < 128 ? count - begin : 128;
    const size_t half = (n + 1) / 2;
    // Whole blocks by words, the last one by bytes.
    size_t j = 0;
    for (; n == 128 && j < half; j += sizeof(uint64_t)) {
      const uint64_t h = LoadWord(high + j);
      const uint64_t l = LoadWord(low + j);
      StoreWord(out + j, (h & kHighNibbles) | (l & kHighNibbles) >> 4);
      StoreWord(out + half + j, (h & ~kHighNibbles) << 4 | (l & ~kHighNibbles));
    }
    for (; j < half; ++j) {
      out[j] = static_cast<uint8_t>((high[j] & 0xf0) | low[j] >> 4);
      if (half + j < n) out[half + j] = static_cast<uint8_t>(high[j] << 4 | (low[j] & 0x0f));
    }
    out += n;
    high += half;
    low += half;
  }
}

void SplitNibbles(const uint8_t* in, size_t count, uint8_t* high, uint8_t* low) {
  for (size_t begin = 0; begin < count; begin += 128) {
    const size_t n = count - begin < 128 ? count - begin : 128;
    const size_t half = (n + 1) / 2;
    size_t j = 0;
    for (; n == 128 && j < half; j += sizeof(uint64_t)) {
      const uint64_t a = LoadWord(in + j);
      const uint64_t b = LoadWord(in + half + j);
      StoreWord(high + j, (a & kHighNibbles) | (b & kHighNibbles) >> 4);
      StoreWord(low + j, (a & ~kHighNibbles) << 4 | (b & ~kHighNibbles));
    }
    for (; j < half; ++j) {
      const unsigned a = in[j];
      const unsigned b = half + j < n ? in[half + j] : 0;
      high[j] = static_cast<uint8_t>((a & 0xf0) | b >> 4);
      low[j] = static_cast<uint8_t>(a << 4 | (b & 0x0f));
    }
    in += n;
    high += half;
    low += half;
  }
}

void MergeFloat16(const uint8_t* symbol, const uint8_t* rest, size_t count, unsigned base,
                  unsigned shift, uint8_t* out) {
  const unsigned mask = (1u << shift) - 1;
  for (size_t i = 0; i < count; ++i) {
    const unsigned magnitude = (((symbol[i] + base) << shift) | (rest[i] & mask)) & 0x7fff;
    Store16(out + 2 * i, magnitude | ((rest[i] >> shift) & 1u) << 15);
  }
}

void MergeFloat32(const uint8_t* symbol, const uint8_t* rest0, const uint8_t* rest1,
                  const uint8_t* rest2, size_t count, unsigned base, unsigned shift, uint8_t* out) {
  const uint32_t mask = (1u << shift) - 1;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t rest = rest0[i] | uint32_t{rest1[i]} << 8 | uint32_t{rest2[i]} << 16;
    const uint32_t magnitude = (((symbol[i] + base) << shift) | (rest & mask)) & 0x7fffffff;
    const uint32_t value = magnitude | ((rest >> shift) & 1u) << 31;
    std::memcpy(out + 4 * i, &value, sizeof(value));
  }
}

size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places) {
  size_t found = 0;
  size_t i = 0;
  constexpr size_t kBlock = 32;
  for (; i + kBlock <= count && found <= most; i += kBlock) {
    if (!AnyPlace<kBlock>(words + 2 * i)) continue;
    for (size_t j = i; j < i + kBlock && found <= most; ++j) {
      if (AnyPlace<1>(words + 2 * j)) places[found++] = static_cast<uint32_t>(j);
    }
  }
  for (; i < count && found <= most; ++i) {
    if (AnyPlace<1>(words + 2 * i)) places[found++] = static_cast<uint32_t>(i);
  }
  return found;
}

}  // namespace scalar

const Kernels kScalarKernels = {
    .name = "scalar",
    .huffman32 = loops::Huffman32,
    .put_huffman32 = loops::PutHuffman32,
    .rans_rounds = loops::RansRounds,
    .rans_symbols = loops::RansSymbols,
    .put_rans_rounds = loops::PutRans<false>,
    .put_rans_symbols = loops::PutRans<true>,
    .unpack = scalar::Unpack,
    .pack = scalar::Pack,
    .merge_nibbles = scalar::MergeNibbles,
    .split_nibbles = scalar::SplitNibbles,
    .merge_float16 = scalar::MergeFloat16,
    .split_float16 = scalar::SplitFloat16,
    .merge_float32 = scalar::MergeFloat32,
    .find_places = scalar::FindPlaces,
    .bf16_bins = loops::Bf16Bins,
    .bins8 = scalar::Bins8,
    .put_bins8 = scalar::PutBins8,
    .put_bins16 = scalar::PutBins16,
    .bins16 = scalar::Bins16,
    .finish16 = scalar::Finish16,
    .residual16 = loops::Residual16,
    .put_residual16 = loops::PutResidual16,
    .integer_residual = loops::IntegerResidual,
    .integer_differences = loops::IntegerDifferences,
    .put_integer_residual = loops::PutIntegerResidual,
    .unpack_inputs = loops::UnpackInputs,
    .pack_inputs = loops::PackInputs,
    .transpose_words = loops::TransposeWords,
};

}  // namespace qstore::codec
