// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"

// Loops without intrinsics that are fast on every machine: compiled anew, with internal linkage,
// for every instruction set that includes this file.

namespace qstore::codec {
namespace {

inline uint64_t LoadWord(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

namespace loops {

inline uint32_t FloatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatFrom(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// One round: four symbols of each stream, four streams in turns, since a symbol waits for the one
// before it in its stream. A bit above those that a round takes tells how many were taken. kClamp
// keeps windows inside the data of damaged streams. Not inlined: callers have use for registers.
template <bool kClamp>
[[gnu::noinline]] void HuffmanRound(const uint16_t* table, const uint8_t* data, size_t last,
                                    uint32_t* positions, uint8_t* out) {
  constexpr uint64_t kMask = (1u << 12) - 1;
  constexpr uint64_t kMark = uint64_t{1} << 63;
  constexpr size_t kTurns = 4;
  for (size_t s = 0; s < kHuffmanStreams; s += kTurns, out += kTurns * kHuffmanRun) {
    uint64_t windows[kTurns];
    for (size_t t = 0; t < kTurns; ++t) {
      const size_t at = positions[s + t] >> 3;
      const uint64_t word = LoadWord(data + (kClamp && at > last ? last : at));
      windows[t] = word >> (positions[s + t] & 7) | kMark;
    }
    // Symbols are stored one by one: putting them together takes more instructions than stores.
    for (size_t i = 0; i < kHuffmanRun; ++i) {
      for (size_t t = 0; t < kTurns; ++t) {
        const uint32_t entry = table[windows[t] & kMask];
        out[t * kHuffmanRun + i] = static_cast<uint8_t>(entry >> 8);
        windows[t] >>= entry & 63;
      }
    }
    for (size_t t = 0; t < kTurns; ++t) {
      positions[s + t] += static_cast<uint32_t>(__builtin_clzll(windows[t]));
    }
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

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
