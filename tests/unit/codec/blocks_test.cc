// SPDX-License-Identifier: Apache-2.0
#include "codec/blocks/blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"
#include "unit/codec/block_fields.h"

namespace qstore::codec {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<DType> BlockTypes() {
  std::vector<DType> types;
  for (unsigned t = 0; t < kDTypeCount; ++t) {
    if (DTypeBlock(static_cast<DType>(t)) > 1) types.push_back(static_cast<DType>(t));
  }
  return types;
}

Bytes Noise(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

// Of few values, so that entropy codes have something to gain.
Bytes Skewed(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random() & random() & random());
  return bytes;
}

Bytes Encoded(const BlockLayout& layout, Effort effort, const Bytes& raw) {
  BlockScratch scratch;
  Bytes payload;
  EncodeBlocks(layout, effort, raw, &scratch, &payload);
  payload.resize(payload.size() + kReadSlack);
  return payload;
}

TEST(Blocks, EveryBlockTypeHasALayout) {
  const std::vector<DType> types = BlockTypes();
  EXPECT_EQ(types.size(), 27u);
  for (const DType type : types) {
    const BlockLayout* layout = LayoutOfBlocks(type);
    ASSERT_NE(layout, nullptr) << DTypeName(type);
    EXPECT_EQ(layout->weights, DTypeBlock(type)) << DTypeName(type);
    EXPECT_EQ(layout->bytes * 8, DTypeBits(type)) << DTypeName(type);
    for (size_t s = 0; s < layout->streams.size(); ++s) {
      const bool is_codes = layout->streams[s].kind == StreamKind::kCodes;
      EXPECT_TRUE(!is_codes || s + 1 == layout->streams.size()) << DTypeName(type);
      EXPECT_TRUE(!is_codes || layout->streams[s].per_block == layout->weights);
    }
  }
  EXPECT_EQ(LayoutOfBlocks(DType::kF16), nullptr);
  EXPECT_EQ(LayoutOfBlocks(DType::kU64), nullptr);
}

TEST(Blocks, SplitAndMergeAreInverse) {
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    BlockScratch scratch;
    for (const size_t count : {1, 2, 7, 100}) {
      const Bytes raw = Noise(count * layout.bytes, static_cast<uint32_t>(count));
      SplitBlocks(layout, raw, &scratch);
      Bytes out(raw.size());
      MergeBlocks(layout, &scratch, out);
      EXPECT_TRUE(out == raw) << DTypeName(type) << " " << count;
    }
  }
}

// Each stream of each type against the formula of docs/format-ggml.md, weight by weight.
TEST(Blocks, StreamsAreThoseOfTheSpec) {
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    const std::vector<testing::BlockField> fields = testing::FieldsOf(type);
    ASSERT_EQ(fields.size(), layout.streams.size()) << DTypeName(type);
    constexpr size_t kCount = 5;
    const Bytes raw = Noise(kCount * layout.bytes, 11);
    BlockScratch scratch;
    SplitBlocks(layout, raw, &scratch);
    for (size_t s = 0; s < fields.size(); ++s) {
      const BlockStream& stream = layout.streams[s];
      EXPECT_EQ(fields[s].kind, testing::KindOf(stream)) << DTypeName(type) << " stream " << s;
      ASSERT_EQ(fields[s].count, stream.per_block) << DTypeName(type) << " stream " << s;
      for (size_t b = 0; b < kCount; ++b) {
        const auto* block = reinterpret_cast<const uint8_t*>(raw.data()) + b * layout.bytes;
        for (unsigned k = 0; k < stream.per_block; ++k) {
          const size_t at = b * stream.per_block + k;
          const uint8_t* in = scratch.stream(s);
          const unsigned value =
              stream.kind == StreamKind::kHalf ? in[2 * at] | in[2 * at + 1] << 8 : in[at];
          ASSERT_EQ(value, fields[s].value(block, k))
              << DTypeName(type) << " stream " << s << " number " << k;
        }
      }
    }
  }
}

// Codes of few bits are several to a symbol: a payload of one block, put together by hand.
TEST(Blocks, CodesArePackedAsTheSpecSays) {
  const auto plane_of = [](const Bytes& payload, size_t skip, size_t count) {
    base::ByteReader reader{std::span(payload).subspan(skip)};
    std::vector<uint8_t> symbols(count + kPlaneSlack);
    const auto found = DecodePlane(&reader, count, symbols.data());
    EXPECT_TRUE(found.ok());
    return std::vector<uint8_t>(*found, *found + count);
  };
  struct Case {
    DType type;
    unsigned bits;
    unsigned to_a_symbol;
  };
  for (const Case& each : {Case{DType::kTq2_0, 2, 4},
                           {DType::kQ3K, 3, 2},
                           {DType::kQ4K, 4, 2},
                           {DType::kQ5K, 5, 1},
                           {DType::kQ6K, 6, 1}}) {
    const BlockLayout& layout = *LayoutOfBlocks(each.type);
    const Bytes raw = Noise(layout.bytes * 3, each.bits);
    const Bytes payload = Encoded(layout, Effort::kHuffman, raw);
    // What the streams before the codes take.
    BlockScratch scratch;
    SplitBlocks(layout, raw, &scratch);
    Bytes before;
    for (size_t s = 0; s < layout.codes(); ++s) {
      EncodeBlockStream(layout.streams[s], 3, s, Effort::kHuffman, &scratch, &before);
    }
    const size_t weights = size_t{3} * layout.weights;
    const auto symbols = plane_of(payload, before.size(), weights / each.to_a_symbol);
    const uint8_t* codes = scratch.stream(layout.codes());
    for (size_t w = 0; w < weights; ++w) {
      const size_t shift = each.bits * (w % each.to_a_symbol);
      EXPECT_EQ(symbols[w / each.to_a_symbol] >> shift & ((1U << each.bits) - 1), codes[w])
          << DTypeName(each.type) << " weight " << w;
    }
  }
}

TEST(Blocks, EncodeAndDecodeAreInverse) {
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    BlockScratch scratch;
    for (const size_t count : {1, 2, 33, 500}) {
      const size_t size = count * layout.bytes;
      for (const Bytes& raw :
           {Noise(size, 3), Skewed(size, 4), Bytes(size), Bytes(size, std::byte{255})}) {
        for (const Effort effort : {Effort::kHuffman, Effort::kRans}) {
          const Bytes payload = Encoded(layout, effort, raw);
          base::ByteReader reader{std::span(payload)};
          Bytes out(raw.size());
          const Status status = DecodeBlocks(layout, &reader, &scratch, out);
          EXPECT_TRUE(status.ok()) << status.ToString();
          EXPECT_TRUE(out == raw) << DTypeName(type) << " " << count;
          EXPECT_EQ(reader.remaining(), kReadSlack);
        }
      }
    }
  }
}

TEST(Blocks, CodesByZeroComeBack) {
  unsigned types = 0;
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    if (layout.zeros == nullptr) continue;
    ++types;
    BlockScratch scratch;
    std::mt19937 random(8);
    for (const size_t count : {1, 2, 33, 500}) {
      const size_t size = count * layout.bytes;
      for (const Bytes& raw :
           {Noise(size, 3), Skewed(size, 4), Bytes(size), Bytes(size, std::byte{255})}) {
        Bytes payload;
        EncodeBlocksByZero(layout, Effort::kRans, raw, &scratch, &payload);
        payload.resize(payload.size() + kReadSlack);
        base::ByteReader reader{std::span(payload)};
        Bytes out(raw.size());
        const Status status = DecodeBlocksByZero(layout, &reader, &scratch, out);
        EXPECT_TRUE(status.ok()) << status.ToString();
        EXPECT_TRUE(out == raw) << DTypeName(type) << " " << count;
        EXPECT_EQ(reader.remaining(), kReadSlack);
        for (int round = 0; round < 40; ++round) {
          Bytes damaged = payload;
          damaged[random() % (damaged.size() - kReadSlack)] ^=
              static_cast<std::byte>(1U << random() % 8);
          base::ByteReader again{std::span(damaged)};
          const Status wrong = DecodeBlocksByZero(layout, &again, &scratch, out);
          if (!wrong.ok()) {
            EXPECT_EQ(wrong.code(), ErrorCode::kCorrupt) << wrong.ToString();
          }
        }
      }
    }
  }
  EXPECT_EQ(types, 5u);
}

// Weights around 0 with minima of their own, as quantizers make them.
TEST(Blocks, CodesByZeroTakeLess) {
  constexpr size_t kCount = 4000;
  const BlockLayout& layout = *LayoutOfBlocks(DType::kQ4_1);
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 0.02f);
  Bytes raw(kCount * layout.bytes);
  for (size_t b = 0; b < kCount; ++b) {
    float weights[32];
    for (float& w : weights) w = normal(random);
    const auto [low, high] = std::minmax_element(weights, weights + 32);
    const float step = (*high - *low) / 15;
    auto* block = reinterpret_cast<uint8_t*>(raw.data()) + b * layout.bytes;
    base::StoreLe<uint16_t>(block, base::FloatToFp16(step));
    base::StoreLe<uint16_t>(block + 2, base::FloatToFp16(*low));
    for (unsigned j = 0; j < 32; ++j) {
      const auto code = static_cast<unsigned>((weights[j] - *low) / step + 0.5f);
      block[4 + j % 16] = static_cast<uint8_t>(block[4 + j % 16] | code << (j < 16 ? 0 : 4));
    }
  }
  BlockScratch scratch;
  Bytes by_zero;
  EncodeBlocksByZero(layout, Effort::kRans, raw, &scratch, &by_zero);
  EXPECT_LT(by_zero.size(), Encoded(layout, Effort::kRans, raw).size() * 995 / 1000);
}

TEST(Blocks, SkewedBlocksTakeLess) {
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    const Bytes raw = Skewed(size_t{2000} * layout.bytes, 5);
    for (const Effort effort : {Effort::kHuffman, Effort::kRans}) {
      EXPECT_LT(Encoded(layout, effort, raw).size(), raw.size() * 4 / 5) << DTypeName(type);
    }
  }
}

TEST(Blocks, DamagedPayloadsAreErrorsOrWrongContentNeverMore) {
  std::mt19937 random(6);
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    const Bytes raw = Skewed(size_t{40} * layout.bytes, 7);
    BlockScratch scratch;
    Bytes out(raw.size());
    for (const Effort effort : {Effort::kHuffman, Effort::kRans}) {
      const Bytes payload = Encoded(layout, effort, raw);
      for (int round = 0; round < 150; ++round) {
        Bytes damaged = payload;
        for (int flip = 0; flip < 1 + round % 3; ++flip) {
          damaged[random() % (damaged.size() - kReadSlack)] ^=
              static_cast<std::byte>(1U << random() % 8);
        }
        if (round % 4 == 0) {
          damaged.resize(random() % damaged.size());
          damaged.resize(damaged.size() + kReadSlack);
        }
        base::ByteReader reader{std::span(damaged)};
        const Status status = DecodeBlocks(layout, &reader, &scratch, out);
        if (!status.ok()) {
          EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << status.ToString();
        }
      }
    }
  }
}

// Symbols may have bits that no field has room for: they change no other field.
TEST(Blocks, BitsAboveAFieldAreNotLookedAt) {
  for (const DType type : BlockTypes()) {
    const BlockLayout& layout = *LayoutOfBlocks(type);
    const Bytes raw = Noise(size_t{3} * layout.bytes, 8);
    BlockScratch scratch;
    SplitBlocks(layout, raw, &scratch);
    for (size_t s = 0; s < layout.streams.size(); ++s) {
      const BlockStream& stream = layout.streams[s];
      if (stream.bits >= 8) continue;
      for (size_t i = 0; i < size_t{3} * stream.per_block; ++i) {
        scratch.stream(s)[i] |= static_cast<uint8_t>(0xFF << stream.bits);
      }
    }
    Bytes out(raw.size());
    MergeBlocks(layout, &scratch, out);
    EXPECT_TRUE(out == raw) << DTypeName(type);
  }
}

}  // namespace
}  // namespace qstore::codec
