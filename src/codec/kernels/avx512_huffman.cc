// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "codec/kernels/internal.h"
#include "codec/kernels/portable_loops.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI and VBMI2, and GFNI. The decoder of Huffman planes: one symbol
// of all 32 streams at a time, told by registers alone: its steps are inlined, since state that
// goes by memory has each step wait for stores. Where streams are words, stream 8 g + j has word g
// of 64-bit lane j.

namespace qstore::codec {
namespace {

constexpr unsigned kMostBits = 12;  // Of a code.
constexpr unsigned kShortBits = 7;  // Codes up to here are told by a table in registers.
constexpr unsigned kLimits = kMostBits - kShortBits - 1;
constexpr size_t kWindows = 4;       // Of eight streams each.
constexpr size_t kWorthTables = 32;  // Rounds.

uint32_t Reversed12(uint32_t bits) {
  bits = (bits & 0x555) << 1 | (bits >> 1 & 0x555);
  bits = (bits & 0x333) << 2 | (bits >> 2 & 0x333);
  return (bits & 0x00f) << 8 | (bits & 0x0f0) | bits >> 8;
}

// A canonical code, from its decoding table.
struct Code {
  explicit Code(const uint16_t* table);

  __m512i length[2];         // By the first 7 bits; 8 for longer ones.
  __m512i limit[kLimits];    // The last word whose code has at most 8, 9, … bits.
  __m512i number_less_code;  // By length.
  __m512i symbol[4];         // By number: by length, then symbol.
};

Code::Code(const uint16_t* table) {
  alignas(64) uint8_t lengths[1 << kShortBits];
  for (size_t i = 0; i < sizeof(lengths); ++i) {
    const auto bits = static_cast<uint8_t>(table[i] & 0xff);
    lengths[i] = bits <= kShortBits ? bits : kShortBits + 1;
  }
  alignas(64) uint8_t symbols[256] = {};
  alignas(64) uint16_t offsets[32] = {};
  uint32_t end[kMostBits + 1];  // Of codes of at most so many bits.
  uint32_t code = 0;
  uint32_t number = 0;
  uint32_t longest = 0;
  while (code < 1u << kMostBits) {
    const uint32_t entry = table[Reversed12(code)];
    const uint32_t bits = entry & 0xff;
    const uint32_t spare = kMostBits - bits;
    if (bits > longest) offsets[bits] = static_cast<uint16_t>(number - (code >> spare));
    for (; longest < bits; ++longest) end[longest] = code;
    symbols[number++] = static_cast<uint8_t>(entry >> 8);
    code += 1u << spare;
  }
  for (; longest <= kMostBits; ++longest) end[longest] = code;
  for (unsigned i = 0; i < kLimits; ++i) {
    const uint32_t most = (end[kShortBits + 1 + i] << (16 - kMostBits)) - 1;
    limit[i] = _mm512_set1_epi16(static_cast<short>(most));
  }
  for (size_t i = 0; i < 2; ++i) length[i] = _mm512_load_si512(lengths + 64 * i);
  for (size_t i = 0; i < 4; ++i) symbol[i] = _mm512_load_si512(symbols + 64 * i);
  number_less_code = _mm512_load_si512(offsets);
}

// Bits of all bytes the other way round.
__m512i Reversed(__m512i bytes) {
  constexpr int64_t kAntidiagonal = static_cast<int64_t>(0x8040201008040201u);
  return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(kAntidiagonal), 0);
}

// Streams from where they have been read to, 64 bits of each at hand.
class Streams {
 public:
  Streams(const uint8_t* data, const uint32_t positions[kHuffmanStreams]) : data_(data) {
    for (size_t g = 0; g < kWindows; ++g) {
      position_[g] = _mm512_cvtepu32_epi64(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(positions + 8 * g)));
      bits_[g] = _mm512_shrdv_epi64(BytesFrom(g, data_), BytesFrom(g, data_ + 8), Phase(g));
    }
  }
  void Store(uint32_t positions[kHuffmanStreams]) const {
    for (size_t g = 0; g < kWindows; ++g) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(positions + 8 * g),
                          _mm512_cvtepi64_epi32(position_[g]));
    }
  }
  size_t Furthest() const {
    return _mm512_reduce_max_epu64(_mm512_max_epu64(_mm512_max_epu64(position_[0], position_[1]),
                                                    _mm512_max_epu64(position_[2], position_[3])));
  }

  // A round begins: what comes after the bits at hand is on its way before it is known how many of
  // these are used.
  void Begin() {
    at_ = _mm512_set1_epi16(0x0008);
    for (size_t g = 0; g < kWindows; ++g) {
      later_[g] = _mm512_srlv_epi64(BytesFrom(g, data_ + 8), Phase(g));
    }
  }
  // Words of which the upper bytes have the next eight bits, the lower ones those behind.
  __m512i Words() const {
    const __m512i a = WordsOf(0);
    const __m512i b = WordsOf(1);
    const __m512i c = WordsOf(2);
    return _mm512_or_si512(_mm512_ternarylogic_epi64(a, b, c, 0xfe), WordsOf(3));
  }
  // Words with lengths in both bytes.
  void Skip(__m512i lengths) { at_ = _mm512_add_epi16(at_, lengths); }
  void End() {
    for (unsigned g = 0; g < kWindows; ++g) {
      const __m512i skipped = _mm512_srli_epi64(at_, 16 * g + 8);
      bits_[g] = _mm512_shrdv_epi64(bits_[g], later_[g], skipped);  // Looks at six bits of each.
      position_[g] =
          _mm512_add_epi64(position_[g], _mm512_and_si512(skipped, _mm512_set1_epi64(0xff)));
    }
  }

 private:
  __m512i BytesFrom(size_t g, const uint8_t* data) const {
    return _mm512_i64gather_epi64(_mm512_srli_epi64(position_[g], 3), data, 1);
  }
  __m512i WordsOf(unsigned g) const {
    return _mm512_maskz_multishift_epi64_epi8(uint64_t{0x0303030303030303} << 2 * g, at_, bits_[g]);
  }
  __m512i Phase(size_t g) const { return _mm512_and_si512(position_[g], _mm512_set1_epi64(7)); }

  const uint8_t* data_;
  __m512i position_[kWindows];
  __m512i bits_[kWindows];   // 64, less those skipped in the round.
  __m512i later_[kWindows];  // 57 bits or more.
  __m512i at_;  // Words: bits skipped in the upper byte, and eight more in the lower one.
};

// Numbers of the next symbols, words.
[[gnu::always_inline]] inline __m512i Next(const Code& code, Streams* streams) {
  const __m512i words = streams->Words();
  const __m512i first_bytes =
      _mm512_shuffle_epi8(words, _mm512_set4_epi32(0x0f0f0d0d, 0x0b0b0909, 0x07070505, 0x03030101));
  __m512i length = _mm512_permutex2var_epi8(code.length[0], first_bytes, code.length[1]);
  const __m512i reversed = Reversed(words);
  for (const __m512i& limit : code.limit) {
    const __mmask32 is_longer = _mm512_cmpgt_epu16_mask(reversed, limit);
    length = _mm512_mask_add_epi16(length, is_longer, length, _mm512_set1_epi16(0x0101));
  }
  streams->Skip(length);
  // Of the lengths these look at the low bits only.
  const __m512i bits = _mm512_shldv_epi16(_mm512_setzero_si512(), reversed, length);
  return _mm512_add_epi16(bits, _mm512_permutexvar_epi16(length, code.number_less_code));
}

// The next two symbols of all streams, words.
[[gnu::always_inline]] inline __m512i NextTwo(const Code& code, Streams* streams) {
  const __m512i first = Next(code, streams);
  const __m512i second = Next(code, streams);
  const __m512i numbers = _mm512_or_si512(first, _mm512_slli_epi16(second, 8));
  const __m512i lower = _mm512_permutex2var_epi8(code.symbol[0], numbers, code.symbol[1]);
  const __m512i upper = _mm512_permutex2var_epi8(code.symbol[2], numbers, code.symbol[3]);
  return _mm512_mask_mov_epi8(lower, _mm512_movepi8_mask(numbers), upper);
}

// One round of all streams.
[[gnu::always_inline]] inline void Round(const Code& code, Streams* streams, uint8_t* out) {
  streams->Begin();
  const __m512i first = NextTwo(code, streams);
  const __m512i second = NextTwo(code, streams);
  streams->End();
  // Words of stream after stream.
  const __m512i order =
      _mm512_set_epi16(61, 29, 57, 25, 53, 21, 49, 17, 45, 13, 41, 9, 37, 5, 33, 1, 60, 28, 56, 24,
                       52, 20, 48, 16, 44, 12, 40, 8, 36, 4, 32, 0);
  const __m512i later = _mm512_add_epi16(order, _mm512_set1_epi16(2));
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(first, order, second));
  _mm512_storeu_si512(out + 64, _mm512_permutex2var_epi16(first, later, second));
}

}  // namespace

namespace avx512 {

void Huffman32(const uint16_t* table, const uint8_t* data, size_t size, uint32_t* positions,
               size_t rounds, uint8_t* out) {
  constexpr size_t kRoundSymbols = kHuffmanRun * kHuffmanStreams;
  constexpr size_t kRoundBits = kMostBits * kHuffmanRun;  // At most.
  constexpr size_t kAhead = 2 * sizeof(uint64_t);
  // Rounds that are sure to stay inside.
  const auto inside = [size](size_t furthest) {
    const size_t last = size > kAhead ? 8 * (size - kAhead) : 0;
    return furthest < last ? (last - furthest) / kRoundBits : 0;
  };
  size_t furthest = 0;
  for (size_t s = 0; s < kHuffmanStreams; ++s) {
    furthest = positions[s] > furthest ? positions[s] : furthest;
  }
  size_t done = 0;
  if (rounds >= kWorthTables && inside(furthest) > 0) {
    const Code code(table);
    Streams streams(data, positions);
    while (done < rounds) {
      const size_t more = inside(streams.Furthest());
      if (more == 0) break;
      const size_t end = more < rounds - done ? done + more : rounds;
      for (; done < end; ++done) Round(code, &streams, out + done * kRoundSymbols);
    }
    streams.Store(positions);
  }
  loops::Huffman32(table, data, size, positions, rounds - done, out + done * kRoundSymbols);
}

}  // namespace avx512
}  // namespace qstore::codec
