// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstring>

#include "codec/kernels/internal.h"
#include "codec/kernels/kernels.h"

// Loops that the compiler vectorizes by itself, or that need only BMI2: compiled anew, with
// internal linkage, for every instruction set that includes this file.

namespace qstore::codec {
namespace {

inline uint64_t LoadWord(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

namespace loops {

// One round: four symbols of each stream. kClamp keeps windows inside the data of damaged streams.
template <bool kClamp>
void HuffmanRound(const uint16_t* table, const uint8_t* data, size_t last, uint32_t* positions,
                  uint8_t* out) {
  constexpr uint64_t kMask = (1u << 12) - 1;
  for (size_t s = 0; s < kHuffmanStreams; ++s, out += kHuffmanRun) {
    const uint32_t position = positions[s];
    const size_t at = position >> 3;
    uint64_t window = LoadWord(data + (kClamp && at > last ? last : at)) >> (position & 7);
    // Symbols are stored one by one: putting them together takes more instructions than stores.
    const uint32_t e0 = table[window & kMask];
    window >>= e0 & 63;
    out[0] = static_cast<uint8_t>(e0 >> 8);
    const uint32_t e1 = table[window & kMask];
    window >>= e1 & 63;
    out[1] = static_cast<uint8_t>(e1 >> 8);
    const uint32_t e2 = table[window & kMask];
    window >>= e2 & 63;
    out[2] = static_cast<uint8_t>(e2 >> 8);
    const uint32_t e3 = table[window & kMask];
    out[3] = static_cast<uint8_t>(e3 >> 8);
    positions[s] = position + ((e0 + e1 + e2 + e3) & 63);
  }
}

inline void Huffman32(const uint16_t* table, const uint8_t* data, size_t size, uint32_t* positions,
                      size_t rounds, uint8_t* out) {
  constexpr size_t kMostBits = 12 * kHuffmanRun;  // that a round takes from a stream
  constexpr size_t kRoundSymbols = kHuffmanRun * kHuffmanStreams;
  const size_t last = size - kReadSlack;
  while (rounds > 0) {
    size_t furthest = 0;
    for (size_t s = 0; s < kHuffmanStreams; ++s) {
      furthest = positions[s] > furthest ? positions[s] : furthest;
    }
    size_t inside = furthest < 8 * last ? (8 * last - furthest) / kMostBits : 0;
    if (inside == 0) break;
    inside = inside < rounds ? inside : rounds;
    rounds -= inside;
    for (; inside > 0; --inside, out += kRoundSymbols) {
      HuffmanRound<false>(table, data, last, positions, out);
    }
  }
  for (; rounds > 0; --rounds, out += kRoundSymbols) {
    HuffmanRound<true>(table, data, last, positions, out);
  }
}

// A stream being written, its last bits in a register.
struct StreamPutter {
  explicit StreamPutter(const BitSink& sink)
      : at(sink.bytes + (sink.position >> 3)), used(sink.position & 7) {
    word = *at & ((1u << used) - 1);
  }
  void PutRun(const uint32_t* codes, const uint8_t* symbols) {
    for (size_t i = 0; i < kHuffmanRun; ++i) {
      const uint32_t entry = codes[symbols[i]];
      word |= uint64_t{entry >> 8} << used;
      used += entry & 0xff;
    }
    std::memcpy(at, &word, sizeof(word));
    at += used >> 3;
    word >>= used & 56;
    used &= 7;
  }
  void Finish(BitSink* sink) const {
    sink->position = 8 * static_cast<uint64_t>(at - sink->bytes) + used;
  }
  uint8_t* at;
  uint64_t used;
  uint64_t word;
};

// Blocks that stay in the first-level cache; in each, two streams at a time, so that one works
// while the other waits for its last bits.
inline void PutHuffman32(const uint32_t* codes, const uint8_t* symbols, size_t rounds,
                         BitSink* streams) {
  constexpr size_t kRoundSymbols = kHuffmanRun * kHuffmanStreams;
  constexpr size_t kBlockRounds = 64;
  while (rounds > 0) {
    const size_t block = rounds < kBlockRounds ? rounds : kBlockRounds;
    for (size_t s = 0; s < kHuffmanStreams; s += 2) {
      StreamPutter first(streams[s]);
      StreamPutter second(streams[s + 1]);
      const uint8_t* in = symbols + s * kHuffmanRun;
      for (size_t i = 0; i < block; ++i, in += kRoundSymbols) {
        first.PutRun(codes, in);
        second.PutRun(codes, in + kHuffmanRun);
      }
      first.Finish(&streams[s]);
      second.Finish(&streams[s + 1]);
    }
    symbols += block * kRoundSymbols;
    rounds -= block;
  }
}

inline void Unpack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  // Eight symbols take exactly `width` bytes.
  const uint64_t mask = 0x0101010101010101u * ((1u << width) - 1);
  size_t done = 0;
  for (; done + 8 <= count; done += 8, in += width) {
    const uint64_t symbols = _pdep_u64(LoadWord(in), mask);
    std::memcpy(out + done, &symbols, sizeof(symbols));
  }
  scalar::Unpack(in, width, count - done, out + done);
}

inline void Pack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  const uint64_t mask = 0x0101010101010101u * ((1u << width) - 1);
  size_t done = 0;
  for (; done + 8 <= count; done += 8, out += width) {
    const uint64_t bits = _pext_u64(LoadWord(in + done), mask);
    std::memcpy(out, &bits, sizeof(bits));
  }
  if (done < count) scalar::Pack(in + done, width, count - done, out);
}

inline void SplitFloat16(const uint8_t* in, size_t count, unsigned base, unsigned shift,
                         uint8_t* symbol, uint8_t* rest) {
  const auto mask = static_cast<uint16_t>((1u << shift) - 1);
  const auto floor = static_cast<uint16_t>(base);
  for (size_t i = 0; i < count; ++i) {
    uint16_t value;
    std::memcpy(&value, in + 2 * i, sizeof(value));
    const auto lead = static_cast<uint16_t>((value & 0x7fff) >> shift);
    const auto above = static_cast<uint16_t>(lead > floor ? lead - floor : 0);
    symbol[i] = static_cast<uint8_t>(above);
    rest[i] = static_cast<uint8_t>((value & mask) | static_cast<uint16_t>(value >> 15) << shift);
  }
}

inline void MergeFloat16(const uint8_t* symbol, const uint8_t* rest, size_t count, unsigned base,
                         unsigned shift, uint8_t* out) {
  const auto mask = static_cast<uint16_t>((1u << shift) - 1);
  for (size_t i = 0; i < count; ++i) {
    const auto lead = static_cast<uint16_t>((symbol[i] + base) << shift);
    const auto low = static_cast<uint16_t>(rest[i]);
    const auto magnitude = static_cast<uint16_t>((lead | (low & mask)) & 0x7fff);
    const auto value = static_cast<uint16_t>(magnitude | static_cast<uint16_t>(low >> shift) << 15);
    std::memcpy(out + 2 * i, &value, sizeof(value));
  }
}

inline void MergeFloat32(const uint8_t* symbol, const uint8_t* rest0, const uint8_t* rest1,
                         const uint8_t* rest2, size_t count, unsigned base, unsigned shift,
                         uint8_t* out) {
  const uint32_t mask = (1u << shift) - 1;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t rest = rest0[i] | uint32_t{rest1[i]} << 8 | uint32_t{rest2[i]} << 16;
    const uint32_t lead = (symbol[i] + base) << shift;
    const uint32_t value = ((lead | (rest & mask)) & 0x7fffffff) | (rest >> shift) << 31;
    std::memcpy(out + 4 * i, &value, sizeof(value));
  }
}

// find_places with a vector of kLanes words at a time. is_place(at) has a bit for each place, kBits
// apart.
template <size_t kLanes, unsigned kBits, class IsPlace>
size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places,
                  IsPlace is_place) {
  size_t found = 0;
  size_t done = 0;
  for (; done + kLanes <= count; done += kLanes) {
    for (uint32_t hits = is_place(words + 2 * done); hits != 0; hits &= hits - 1) {
      places[found++] =
          static_cast<uint32_t>(done + static_cast<size_t>(__builtin_ctz(hits)) / kBits);
    }
    if (found > most) return most + 1;
  }
  const size_t rest =
      scalar::FindPlaces(words + 2 * done, count - done, most - found, places + found);
  for (size_t i = found; i < found + rest; ++i) places[i] += static_cast<uint32_t>(done);
  return found + rest;
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
