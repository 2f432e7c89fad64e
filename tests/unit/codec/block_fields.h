// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "codec/blocks/block_layout.h"
#include "qstore/dtype.h"

// The tables of docs/format-ggml.md, "Blocks", number by number.

namespace qstore::testing {

/// The letter or number that the tables have for a stream.
inline char KindOf(const codec::BlockStream& stream) {
  using codec::StreamKind;
  if (stream.kind == StreamKind::kHalf) return 'F';
  if (stream.kind == StreamKind::kSigned || stream.bits == 8) {
    return stream.kind == StreamKind::kSymbols ? 'B' : 'S';
  }
  return static_cast<char>('0' + stream.bits);
}

struct BlockField {
  char kind = 'B';
  unsigned count = 0;  ///< Numbers of a block.
  /// Number `k` of a block; of F its pattern.
  std::function<unsigned(const uint8_t* block, unsigned k)> value;
};

inline BlockField Half(unsigned at) {
  return {'F', 1, [=](const uint8_t* b, unsigned) { return b[at] + 256U * b[at + 1]; }};
}
inline BlockField Run(char kind, unsigned at, unsigned count) {
  return {kind, count, [=](const uint8_t* b, unsigned k) -> unsigned { return b[at + k]; }};
}

inline unsigned Low(unsigned byte) { return byte % 16; }
inline unsigned High(unsigned byte) { return byte / 16; }
inline unsigned Bit(unsigned value, unsigned at) { return value / (1U << at) % 2; }
inline unsigned TwoBits(unsigned value, unsigned at) { return value / (1U << at) % 4; }

/// "Nibbles from `a`, by `c`".
inline unsigned Nibble(const uint8_t* b, unsigned w, unsigned a, unsigned c) {
  const unsigned g = w / (2 * c);
  const unsigned j = w - 2 * c * g;
  return j < c ? Low(b[a + c * g + j]) : High(b[a + c * g + j - c]);
}
inline BlockField Nibbles(unsigned weights, unsigned a, unsigned c) {
  return {'4', weights, [=](const uint8_t* b, unsigned w) { return Nibble(b, w, a, c); }};
}
/// With a fifth bit in the word of 32 bits at `word`.
inline BlockField Fives(unsigned a, unsigned word) {
  return {'5', 32, [=](const uint8_t* b, unsigned w) {
            return Nibble(b, w, a, 16) + 16 * Bit(b[word + w / 8], w % 8);
          }};
}

/// "Pairs from `a`".
inline unsigned Pair(const uint8_t* b, unsigned w, unsigned a) {
  const unsigned p = w / 128;
  const unsigned j = w % 128 / 32;
  return TwoBits(b[a + 32 * p + w % 32], 2 * j);
}

inline unsigned ScaleOfQ3K(const uint8_t* b, unsigned k) {
  const unsigned low = k < 8 ? Low(b[96 + k]) : High(b[88 + k]);
  return low + 16 * TwoBits(b[104 + k % 4], 2 * (k / 4));
}
inline unsigned ScaleOfQ4K(const uint8_t* b, unsigned k) {
  return k < 4 ? b[4 + k] % 64 : Low(b[12 + k - 4]) + 16U * (b[4 + k - 4] / 64);
}
inline unsigned MinimumOfQ4K(const uint8_t* b, unsigned k) {
  return k < 4 ? b[8 + k] % 64 : High(b[12 + k - 4]) + 16U * (b[8 + k - 4] / 64);
}
inline unsigned CodeOfQ6K(const uint8_t* b, unsigned w) {
  const unsigned p = w / 128;
  const unsigned t = w / 64 % 2;
  const unsigned u = w / 32 % 2;
  const unsigned l = w % 32;
  const unsigned byte = b[64 * p + 32 * u + l];
  return (t == 0 ? Low(byte) : High(byte)) + 16 * TwoBits(b[128 + 32 * p + l], 4 * t + 2 * u);
}
inline unsigned ScaleOfIq4Xs(const uint8_t* b, unsigned k) {
  const unsigned byte = b[4 + k / 2];
  return (k % 2 == 0 ? Low(byte) : High(byte)) + 16 * TwoBits(b[2] + 256U * b[3], 2 * k);
}

/// Types whose last field are codes; empty for others.
inline std::vector<BlockField> CodedFieldsOf(DType type) {
  using B = const uint8_t*;
  switch (type) {
    case DType::kQ4_0:
    case DType::kIq4Nl:
      return {Half(0), Nibbles(32, 2, 16)};
    case DType::kQ4_1:
      return {Half(0), Half(2), Nibbles(32, 4, 16)};
    case DType::kQ5_0:
      return {Half(0), Fives(6, 2)};
    case DType::kQ5_1:
      return {Half(0), Half(2), Fives(8, 4)};
    case DType::kQ8_0:
      return {Half(0), Run('S', 2, 32)};
    case DType::kMxfp4:
      return {Run('B', 0, 1), Nibbles(32, 1, 16)};
    case DType::kNvfp4:
      return {Run('B', 0, 4), Nibbles(64, 4, 8)};
    case DType::kQ2K:
      return {Half(80),
              Half(82),
              {'4', 16, [](B b, unsigned k) { return Low(b[k]); }},
              {'4', 16, [](B b, unsigned k) { return High(b[k]); }},
              {'2', 256, [](B b, unsigned w) { return Pair(b, w, 16); }}};
    case DType::kQ3K:
      return {Half(108), {'6', 16, ScaleOfQ3K}, {'3', 256, [](B b, unsigned w) {
                                                   return Pair(b, w, 32) +
                                                          4 * Bit(b[w % 32], w / 32);
                                                 }}};
    case DType::kQ4K:
      return {Half(0), Half(2), {'6', 8, ScaleOfQ4K}, {'6', 8, MinimumOfQ4K}, Nibbles(256, 16, 32)};
    case DType::kQ5K:
      return {Half(0),
              Half(2),
              {'6', 8, ScaleOfQ4K},
              {'6', 8, MinimumOfQ4K},
              {'5', 256, [](B b, unsigned w) {
                 return Nibble(b, w, 48, 32) + 16 * Bit(b[16 + w % 32], w / 32);
               }}};
    case DType::kQ6K:
      return {Half(208), Run('S', 192, 16), {'6', 256, CodeOfQ6K}};
    case DType::kIq4Xs:
      return {Half(0), {'6', 8, ScaleOfIq4Xs}, Nibbles(256, 8, 16)};
    case DType::kTq2_0:
      return {Half(64), {'2', 256, [](B b, unsigned w) { return Pair(b, w, 0); }}};
    default:
      return {};
  }
}

/// "Other blocks": kinds and counts of the fields, which lie one after another.
inline std::vector<BlockField> PlainFieldsOf(DType type) {
  struct Kind {
    char kind;
    unsigned count;
  };
  const auto lay = [](const std::vector<Kind>& kinds) {
    std::vector<BlockField> fields;
    unsigned at = 0;
    for (const Kind& each : kinds) {
      fields.push_back(each.kind == 'F' ? Half(at) : Run(each.kind, at, each.count));
      at += each.kind == 'F' ? 2 : each.count;
    }
    return fields;
  };
  switch (type) {
    case DType::kQ8_1:
      return lay({{'F', 1}, {'F', 1}, {'S', 32}});
    case DType::kQ8K:
      return lay({{'B', 4}, {'S', 256}, {'B', 32}});
    case DType::kIq2Xxs:
      return lay({{'F', 1}, {'B', 64}});
    case DType::kIq2Xs:
      return lay({{'F', 1}, {'B', 64}, {'B', 8}});
    case DType::kIq2S:
      return lay({{'F', 1}, {'B', 32}, {'B', 32}, {'B', 8}, {'B', 8}});
    case DType::kIq3Xxs:
      return lay({{'F', 1}, {'B', 64}, {'B', 32}});
    case DType::kIq3S:
      return lay({{'F', 1}, {'B', 64}, {'B', 8}, {'B', 32}, {'B', 4}});
    case DType::kIq1S:
      return lay({{'F', 1}, {'B', 32}, {'B', 16}});
    case DType::kIq1M:
      return lay({{'B', 32}, {'B', 16}, {'B', 8}});
    case DType::kTq1_0:
      return lay({{'B', 48}, {'B', 4}, {'F', 1}});
    case DType::kQ1_0:
    case DType::kQ2_0:
      return lay({{'F', 1}, {'B', 16}});
    default:
      return {};
  }
}

inline std::vector<BlockField> FieldsOf(DType type) {
  const std::vector<BlockField> fields = CodedFieldsOf(type);
  return fields.empty() ? PlainFieldsOf(type) : fields;
}

}  // namespace qstore::testing
