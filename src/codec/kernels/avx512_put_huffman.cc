// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstring>

#include "codec/kernels/internal.h"

// Needs AVX-512 F, BW, DQ, VL, VBMI and BMI2. Codes are looked up in registers, 64 symbols a step,
// and those of a run put together there; only runs are appended one by one.

namespace qstore::codec {
namespace {

constexpr size_t kRoundSymbols = kHuffmanRun * kHuffmanStreams;
// Rounds whose runs stay in the first-level cache.
constexpr size_t kBlockRounds = 32;
constexpr size_t kStep = 64;
constexpr size_t kStepRuns = kStep / kHuffmanRun;
static_assert(kHuffmanRun == 4 && kStepRuns == 16 && kHuffmanStreams % kStepRuns == 0);

// A table of 256 bytes.
class ByteTable {
 public:
  explicit ByteTable(const uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) part_[i] = _mm512_loadu_si512(bytes + 64 * i);
  }
  __m512i Look(__m512i index) const {
    const __m512i lower = _mm512_permutex2var_epi8(part_[0], index, part_[1]);
    const __m512i upper = _mm512_permutex2var_epi8(part_[2], index, part_[3]);
    return _mm512_mask_mov_epi8(lower, _mm512_movepi8_mask(index), upper);
  }

 private:
  __m512i part_[4];
};

/// Codes of whole runs, 16 of neighbouring streams a step.
class RunCoder {
 public:
  explicit RunCoder(const uint32_t* codes)
      : low_(Table(codes, [](uint32_t entry) { return entry >> 8; })),
        high_(Table(codes, [](uint32_t entry) { return entry >> 16 | entry << 4; })) {}

  // bits[0] to [7] are those of the even streams, [8] to [15] those of the odd ones.
  void Code(const uint8_t* symbols, uint64_t* bits, uint32_t* lengths) const {
    const __m512i symbol = _mm512_loadu_si512(symbols);
    const __m512i low = low_.Look(symbol);
    const __m512i high = high_.Look(symbol);
    // Of the two symbols of a word: 12 bits of code each, and their lengths.
    const __m512i byte = _mm512_set1_epi16(0xff);
    const __m512i first = Code12(_mm512_and_si512(low, byte), _mm512_slli_epi16(high, 8));
    const __m512i second = Code12(_mm512_srli_epi16(low, 8), high);
    const __m512i first_length = _mm512_srli_epi16(_mm512_and_si512(high, byte), 4);
    const __m512i length = _mm512_add_epi16(first_length, _mm512_srli_epi16(high, 12));
    // Two codes, then four.
    const __m512i word = _mm512_set1_epi32(0xffff);
    const __m512i ahead = Joined32(_mm512_and_si512(first, word), _mm512_and_si512(second, word),
                                   _mm512_and_si512(first_length, word));
    const __m512i behind = Joined32(_mm512_srli_epi32(first, 16), _mm512_srli_epi32(second, 16),
                                    _mm512_srli_epi32(first_length, 16));
    const __m512i ahead_length = _mm512_and_si512(length, word);
    const __m512i half = _mm512_set1_epi64(0xffffffff);
    const __m512i even = Joined64(_mm512_and_si512(ahead, half), _mm512_and_si512(behind, half),
                                  _mm512_and_si512(ahead_length, half));
    const __m512i odd = Joined64(_mm512_srli_epi64(ahead, 32), _mm512_srli_epi64(behind, 32),
                                 _mm512_srli_epi64(ahead_length, 32));
    _mm512_storeu_si512(bits, even);
    _mm512_storeu_si512(bits + kStepRuns / 2, odd);
    _mm512_storeu_si512(lengths, _mm512_add_epi32(ahead_length, _mm512_srli_epi32(length, 16)));
  }

 private:
  template <class Part>
  static ByteTable Table(const uint32_t* codes, Part part) {
    uint8_t bytes[256];
    for (int s = 0; s < 256; ++s) bytes[s] = static_cast<uint8_t>(part(codes[s]));
    return ByteTable(bytes);
  }
  static __m512i Code12(__m512i low, __m512i high) {
    return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi16(0x0f00), 0xf8);
  }
  static __m512i Joined32(__m512i first, __m512i second, __m512i length) {
    return _mm512_or_si512(first, _mm512_sllv_epi32(second, length));
  }
  static __m512i Joined64(__m512i first, __m512i second, __m512i length) {
    return _mm512_or_si512(first, _mm512_sllv_epi64(second, length));
  }

  ByteTable low_;   // The lower 8 of a code's 12 bits.
  ByteTable high_;  // The upper 4, and above them the length.
};

// A stream being written, its last bits in a register.
class Appender {
 public:
  explicit Appender(const BitSink& sink)
      : at_(sink.bytes + (sink.position >> 3)), used_(sink.position & 7) {
    word_ = *at_ & ((1u << used_) - 1);
  }
  void Append(uint64_t bits, uint32_t length) {
    word_ |= bits << used_;
    std::memcpy(at_, &word_, sizeof(word_));
    used_ += length;
    at_ += used_ >> 3;
    word_ >>= used_ & 56;
    used_ &= 7;
  }
  void Finish(BitSink* sink) const {
    sink->position = 8 * static_cast<uint64_t>(at_ - sink->bytes) + used_;
  }

 private:
  uint8_t* at_;
  uint64_t used_;
  uint64_t word_;
};

}  // namespace

namespace avx512 {

void PutHuffman32(const uint32_t* codes, const uint8_t* symbols, size_t rounds, BitSink* streams) {
  const RunCoder coder(codes);
  uint64_t bits[kBlockRounds * kHuffmanStreams];
  uint32_t lengths[kBlockRounds * kHuffmanStreams];
  while (rounds > 0) {
    const size_t block = rounds < kBlockRounds ? rounds : kBlockRounds;
    for (size_t run = 0; run < block * kHuffmanStreams; run += kStepRuns) {
      coder.Code(symbols + run * kHuffmanRun, bits + run, lengths + run);
    }
    // Two streams at a time, so that one works while the other waits for its last bits.
    for (size_t s = 0; s < kHuffmanStreams; s += 2) {
      Appender even(streams[s]);
      Appender odd(streams[s + 1]);
      const uint64_t* run = bits + s / kStepRuns * kStepRuns + s % kStepRuns / 2;
      const uint32_t* length = lengths + s;
      for (size_t i = 0; i < block; ++i, run += kHuffmanStreams, length += kHuffmanStreams) {
        even.Append(run[0], length[0]);
        odd.Append(run[kStepRuns / 2], length[1]);
      }
      even.Finish(&streams[s]);
      odd.Finish(&streams[s + 1]);
    }
    symbols += block * kRoundSymbols;
    rounds -= block;
  }
}

}  // namespace avx512
}  // namespace qstore::codec
