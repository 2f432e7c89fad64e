// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/internal.h"

#include <cstring>

namespace qstore::codec {
namespace {

uint64_t Load64(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

void Store16(uint8_t* at, uint32_t value) {
  const auto half = static_cast<uint16_t>(value);
  std::memcpy(at, &half, sizeof(half));
}

void Huffman32(const uint16_t* table, const uint8_t* data, size_t size, uint32_t* positions,
               size_t rounds, uint8_t* out) {
  constexpr uint64_t kMask = (1u << 12) - 1;
  const size_t last = size - kReadSlack;
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t s = 0; s < kHuffmanStreams; ++s) {
      const uint32_t position = positions[s];
      const size_t at = position >> 3;
      // Four codes of at most 12 bits fit the 57 bits a window holds at any bit offset.
      uint64_t window = Load64(data + (at < last ? at : last)) >> (position & 7);
      const uint32_t e0 = table[window & kMask];
      window >>= e0 & 63;
      const uint32_t e1 = table[window & kMask];
      window >>= e1 & 63;
      const uint32_t e2 = table[window & kMask];
      window >>= e2 & 63;
      const uint32_t e3 = table[window & kMask];
      positions[s] = position + ((e0 + e1 + e2 + e3) & 63);
      const uint32_t word = e0 >> 8 | (e1 & 0xff00) | (e2 & 0xff00) << 8 | (e3 & 0xff00) << 16;
      std::memcpy(out + 4 * s, &word, sizeof(word));
    }
    out += kHuffmanRun * kHuffmanStreams;
  }
}

uint64_t ReadBits(BitCursor* cursor, unsigned count) {
  uint64_t value = 0;
  if (cursor->position + count <= cursor->limit) {
    value = Load64(cursor->bytes + (cursor->position >> 3)) >> (cursor->position & 7);
    value &= (uint64_t{1} << count) - 1;
  }
  cursor->position += count;
  return value;
}

void PutBits(BitSink* sink, uint64_t value, unsigned count) {
  uint8_t* at = sink->bytes + (sink->position >> 3);
  const unsigned used = sink->position & 7;
  const uint64_t word = (*at & ((1u << used) - 1)) | value << used;
  std::memcpy(at, &word, sizeof(word));
  sink->position += count;
}

// The index that a truncated binary code of floor bits, and perhaps an extra bit, stands for.
uint32_t ReadIndex(unsigned width, uint32_t threshold, BitCursor* floor_bits,
                   BitCursor* extra_bits) {
  const auto index = static_cast<uint32_t>(ReadBits(floor_bits, width));
  if (index < threshold) return index;
  return 2 * index + static_cast<uint32_t>(ReadBits(extra_bits, 1)) - threshold;
}

void PutHuffman32(const uint32_t* codes, const uint8_t* symbols, size_t rounds, BitSink* streams) {
  for (; rounds > 0; --rounds) {
    for (size_t s = 0; s < kHuffmanStreams; ++s) {
      for (size_t i = 0; i < kHuffmanRun; ++i) {
        const uint32_t entry = codes[*symbols++];
        PutBits(&streams[s], entry >> 8, entry & 0xff);
      }
    }
  }
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
    for (size_t j = 0; j < half; ++j) {
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
    for (size_t j = 0; j < half; ++j) {
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
  for (size_t i = 0; i < count && found <= most; ++i) {
    uint16_t word;
    uint16_t next;
    std::memcpy(&word, words + 2 * i, sizeof(word));
    std::memcpy(&next, words + 2 * i + 2, sizeof(next));
    const uint32_t hash = uint32_t{word} * kPlaceFactor + uint32_t{next} * kPlaceNextFactor;
    if (static_cast<uint16_t>(hash + kPlaceOffset) < kPlaceLimit) {
      places[found++] = static_cast<uint32_t>(i);
    }
  }
  return found;
}

namespace {

uint16_t TakeWide(WideCursor* wide) {
  uint16_t value = 0;
  if (wide->used < wide->count) std::memcpy(&value, wide->values + 2 * wide->used, sizeof(value));
  ++wide->used;
  return value;
}

uint32_t Pattern(uint32_t first, uint32_t index, unsigned shift, uint32_t sign, WideCursor* wide) {
  if (first == kWideBin) return TakeWide(wide);
  return ((first + index) << shift & 0x7fff) | sign << 15;
}

}  // namespace

void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t sign = q[i] >> 7;
    const unsigned bin = (sign ? 256u - q[i] : q[i]) & 0x7f;
    const uint32_t index =
        ReadIndex(table->width[bin], table->threshold[bin], floor_bits, extra_bits);
    Store16(out + 2 * i, Pattern(table->first[bin], index, shift, sign, wide));
  }
}

void Finish16(const uint8_t* q, const uint8_t* index, size_t count, const uint16_t first[kBinCount],
              unsigned shift, WideCursor* wide, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t sign = q[i] >> 7;
    const unsigned bin = (sign ? 256u - q[i] : q[i]) & 0x7f;
    uint16_t place;
    std::memcpy(&place, index + 2 * i, sizeof(place));
    Store16(out + 2 * i, Pattern(first[bin], place, shift, sign, wide));
  }
}

namespace {

// One element with its bin: width and threshold of the code, first candidate.
void PutElement(uint8_t q, const uint8_t* value_at, unsigned width, uint32_t threshold,
                uint32_t first, unsigned shift, uint32_t place, BinSinks* sinks) {
  uint16_t value;
  std::memcpy(&value, value_at, sizeof(value));
  if (first == kWideBin) {
    std::memcpy(sinks->wide + 2 * sinks->wide_count++, &value, sizeof(value));
    return;
  }
  const uint32_t magnitude = value & 0x7fffu;
  uint32_t index = (magnitude >> shift) - first;
  const bool inside = index < (2u << width) - threshold && value >> 15 == q >> 7 &&
                      (magnitude & ((1u << shift) - 1)) == 0;
  if (!inside) {
    sinks->listed[sinks->listed_count++] = place;
    index = 0;
  }
  if (index < threshold) {
    PutBits(&sinks->floor_bits, index, width);
  } else {
    PutBits(&sinks->floor_bits, (index + threshold) >> 1, width);
    PutBits(&sinks->extra_bits, (index + threshold) & 1, 1);
  }
}

}  // namespace

void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned bin = (q[i] & 0x80 ? 256u - q[i] : q[i]) & 0x7f;
    PutElement(q[i], values + 2 * i, table->width[bin], table->threshold[bin], table->first[bin],
               shift, place + static_cast<uint32_t>(i), sinks);
  }
}

void PutBins16(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
               uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
               BinSinks* sinks) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned bin = (q[i] & 0x80 ? 256u - q[i] : q[i]) & 0x7f;
    PutElement(q[i], values + 2 * i, table->width[bin], table->threshold[bin], first[bin], shift,
               place + static_cast<uint32_t>(i), sinks);
  }
}

void Bins16(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
            BitCursor* extra_bits, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned bin = (q[i] & 0x80 ? 256u - q[i] : q[i]) & 0x7f;
    Store16(out + 2 * i,
            ReadIndex(table->width[bin], table->threshold[bin], floor_bits, extra_bits));
  }
}

}  // namespace scalar

const Kernels kScalarKernels = {
    .name = "scalar",
    .huffman32 = Huffman32,
    .put_huffman32 = PutHuffman32,
    .unpack = scalar::Unpack,
    .pack = scalar::Pack,
    .merge_nibbles = scalar::MergeNibbles,
    .split_nibbles = scalar::SplitNibbles,
    .merge_float16 = scalar::MergeFloat16,
    .split_float16 = scalar::SplitFloat16,
    .merge_float32 = scalar::MergeFloat32,
    .find_places = scalar::FindPlaces,
    .bins8 = scalar::Bins8,
    .put_bins8 = scalar::PutBins8,
    .put_bins16 = scalar::PutBins16,
    .bins16 = scalar::Bins16,
    .finish16 = scalar::Finish16,
};

}  // namespace qstore::codec
