// SPDX-License-Identifier: Apache-2.0
#include "scheme/chunk_coder.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <span>
#include <string>

#include "registry/given.h"
#include "registry/weights.h"
#include "scheme/cast/cast.h"
#include "scheme/llm_int8/llm_int8.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;
using testing::MakePair;
using testing::WeightPair;

Bytes Noise(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

// A chunked object with its parents' whole contents.
struct Subject {
  ObjectSpec spec;
  Bytes content;
  std::shared_ptr<const Bound> bound = nullptr;
  std::vector<Bytes> parents = {};
};

testing::ChunkParents ParentsOf(const Subject& s, uint64_t chunk) {
  return {s.bound.get(), s.parents, s.spec, chunk};
}

std::span<const std::byte> RawOf(const Subject& s, uint64_t chunk) {
  const uint64_t elem = s.spec.elem_bytes();
  return std::span(s.content).subspan(s.spec.first_elem(chunk) * elem,
                                      s.spec.chunk_elem_count(chunk) * elem);
}

// Codes and decodes every chunk; returns the stored bytes.
uint64_t RoundTrip(const Subject& s, Level level) {
  ChunkCoder encoder;
  ChunkCoder decoder;
  uint64_t stored = 0;
  for (uint64_t c = 0; c < s.spec.chunk_count(); ++c) {
    const auto raw = RawOf(s, c);
    Bytes payload;
    const testing::ChunkParents parents = ParentsOf(s, c);
    auto codec = encoder.Encode(s.spec, level, c, raw, parents.given(), &payload);
    EXPECT_TRUE(codec.ok()) << codec.status().ToString();
    if (!codec.ok()) return 0;
    EXPECT_LE(payload.size(), raw.size());
    stored += payload.size();
    Bytes out(raw.size());
    const Status status = decoder.Decode(s.spec, c, *codec, payload, parents.given(), out);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(std::equal(raw.begin(), raw.end(), out.begin(), out.end()));
  }
  return stored;
}

Subject Int8Subject(DType dtype, const WeightPair& pair) {
  const uint64_t shape[2] = {pair.rows, pair.columns};
  const uint64_t rows[1] = {pair.rows};
  Subject s{SpecFor(dtype, shape, pair.high.size()), pair.high};
  s.parents = {pair.q, pair.scales};
  const ObjectSpec parents[] = {SpecFor(DType::kI8, shape, pair.q.size()),
                                SpecFor(DType::kF32, rows, pair.scales.size())};
  s.bound = testing::BindOrFail(LlmInt8(), s.spec, parents);
  return s;
}

Subject CastSubject(DType dtype, const Bytes& content, DType parent_dtype, const Bytes& parent,
                    std::span<const uint64_t> shape) {
  Subject s{SpecFor(dtype, shape, content.size()), content};
  s.parents = {parent};
  const ObjectSpec parents[] = {SpecFor(parent_dtype, shape, parent.size())};
  const std::byte params[] = {testing::NumberOf(parent_dtype)};
  s.bound = testing::BindOrFail(Cast(), s.spec, parents, params);
  return s;
}

double Bits(uint64_t bytes, const WeightPair& pair) {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(pair.rows * pair.columns);
}

constexpr Level kLevels[] = {Level::kFast, Level::kBalanced, Level::kMax};

TEST(ChunkCoder, EveryTypeAndSizeComesBack) {
  for (unsigned t = 0; t < kDTypeCount; ++t) {
    const auto dtype = static_cast<DType>(t);
    for (uint64_t count : {0, 1, 2, 63, 64, 65, 1000, 5000}) {
      const uint64_t shape[1] = {count};
      const uint64_t bytes = (count * DTypeBits(dtype) + 7) / 8;
      for (Level level : kLevels) {
        RoundTrip({SpecFor(dtype, shape, bytes), Noise(bytes, t)}, level);
        RoundTrip({SpecFor(dtype, shape, bytes), Bytes(bytes)}, level);
      }
    }
  }
}

TEST(ChunkCoder, PairTakesTheBitsOfItsHighPrecisionAlone) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const WeightPair pair = MakePair(dtype, 512, 2048, 5);
    const uint64_t shape[2] = {pair.rows, pair.columns};
    const Subject high{SpecFor(dtype, shape, pair.high.size()), pair.high};
    const Subject low{SpecFor(DType::kI8, shape, pair.q.size()), pair.q};
    // By the code that the large tensors of a pair have: tables for classes of rows take less.
    const Level level = dtype == DType::kF16 ? Level::kBalanced : Level::kFast;
    const double alone = Bits(RoundTrip(high, level), pair);
    const double given = Bits(RoundTrip(Int8Subject(dtype, pair), Level::kBalanced), pair);
    const double q = Bits(RoundTrip(low, Level::kBalanced), pair);
    EXPECT_LT(q + given, alone + (dtype == DType::kF32 ? 0.8 : 0.06)) << DTypeName(dtype);
    if (dtype == DType::kBF16) {
      EXPECT_LT(q + given, 10.70);
    }
  }
}

TEST(ChunkCoder, RowsOfAnyLengthComeBack) {
  for (uint64_t columns : {1, 3, 27, 64, 100, 384, 4097}) {
    const WeightPair pair = MakePair(DType::kBF16, 20000 / columns + 2, columns, 3);
    RoundTrip(Int8Subject(DType::kBF16, pair), Level::kBalanced);
  }
  // One row longer than a chunk.
  RoundTrip(Int8Subject(DType::kF16, MakePair(DType::kF16, 2, 300001, 4)), Level::kBalanced);
}

TEST(ChunkCoder, SixteenBitSourcesThatWereBf16FirstCostNoMore) {
  WeightPair pair = MakePair(DType::kBF16, 256, 1024, 6);
  const uint64_t bf16 = RoundTrip(Int8Subject(DType::kBF16, pair), Level::kBalanced);
  for (DType wide : {DType::kF16, DType::kF32}) {
    WeightPair recast{pair.rows, pair.columns, {}, {}, {}};
    for (size_t i = 0; i < pair.high.size(); i += 2) {
      testing::AppendPattern(wide, testing::PatternValue(DType::kBF16, &pair.high[i]),
                             &recast.high);
    }
    testing::MakeTwin(wide, &recast);
    const uint64_t stored = RoundTrip(Int8Subject(wide, recast), Level::kBalanced);
    EXPECT_LT(static_cast<double>(stored), static_cast<double>(bf16) * 1.1) << DTypeName(wide);
  }
}

TEST(ChunkCoder, ValuesOutsideTheirBinCostBytesOnly) {
  std::mt19937 random(9);
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    WeightPair pair = MakePair(dtype, 64, 512, 7);
    const size_t size = DTypeBits(dtype) / 8;
    // Infinities, NaNs, zeros of both signs and strangers among the weights; odd q and scales.
    for (int i = 0; i < 300; ++i) {
      std::byte* at = &pair.high[random() % (pair.high.size() / size) * size];
      for (size_t b = 0; b < size; ++b) at[b] = static_cast<std::byte>(random());
    }
    for (size_t i = 0; i < 64; ++i) pair.high[i * size + size - 1] = std::byte{0x7f};
    for (int i = 0; i < 100; ++i) pair.q[random() % pair.q.size()] = std::byte{0x80};
    for (uint32_t row : {3u, 9u, 20u}) {
      const float odd[] = {0.0f, INFINITY, -1.0f};
      std::memcpy(&pair.scales[row * 4], &odd[row % 3], 4);
    }
    for (Level level : kLevels) RoundTrip(Int8Subject(dtype, pair), level);
  }
}

TEST(ChunkCoder, AnUnrelatedTwinCostsNoMoreThanNone) {
  WeightPair pair = MakePair(DType::kBF16, 256, 1024, 1);
  const WeightPair other = MakePair(DType::kBF16, 256, 1024, 2);
  pair.q = other.q;
  pair.scales = other.scales;
  const uint64_t shape[2] = {pair.rows, pair.columns};
  const Subject alone{SpecFor(DType::kBF16, shape, pair.high.size()), pair.high};
  EXPECT_LE(RoundTrip(Int8Subject(DType::kBF16, pair), Level::kBalanced),
            RoundTrip(alone, Level::kBalanced));
}

TEST(ChunkCoder, CastsCostNextToNothing) {
  const WeightPair pair = MakePair(DType::kF32, 128, 1024, 8);
  for (DType narrow : {DType::kBF16, DType::kF16}) {
    Bytes cast;
    for (size_t i = 0; i < pair.high.size(); i += 4) {
      testing::AppendPattern(narrow, testing::PatternValue(DType::kF32, &pair.high[i]), &cast);
    }
    const uint64_t shape[2] = {pair.rows, pair.columns};
    const Subject down = CastSubject(narrow, cast, DType::kF32, pair.high, shape);
    EXPECT_LT(RoundTrip(down, Level::kBalanced), 64u);
    const Subject up = CastSubject(DType::kF32, pair.high, narrow, cast, shape);
    EXPECT_LT(Bits(RoundTrip(up, Level::kBalanced), pair), narrow == DType::kBF16 ? 16.1 : 13.6);
  }
}

TEST(ChunkCoder, DamagedPayloadsAreErrorsOrWrongContentNeverMore) {
  std::mt19937 random(21);
  const WeightPair pair = MakePair(DType::kBF16, 32, 1024, 2);
  const WeightPair half = MakePair(DType::kF16, 32, 1024, 2);
  const uint64_t shape[2] = {32, 1024};
  const Subject subjects[] = {
      Int8Subject(DType::kBF16, pair),
      Int8Subject(DType::kF16, half),
      {SpecFor(DType::kBF16, shape, pair.high.size()), pair.high},
      {SpecFor(DType::kI8, shape, pair.q.size()), pair.q},
  };
  ChunkCoder coder;
  for (const Subject& s : subjects) {
    Bytes payload;
    const auto raw = RawOf(s, 0);
    const testing::ChunkParents parents = ParentsOf(s, 0);
    const ChunkCodec codec =
        coder.Encode(s.spec, Level::kBalanced, 0, raw, parents.given(), &payload).value();
    Bytes out(raw.size());
    for (int round = 0; round < 400; ++round) {
      Bytes damaged = payload;
      const size_t reach = round % 2 == 0 ? std::min<size_t>(damaged.size(), 200) : damaged.size();
      for (int flip = 0; flip < 1 + round % 3; ++flip) {
        damaged[random() % reach] ^= static_cast<std::byte>(1u << (random() % 8));
      }
      if (round % 5 == 0) damaged.resize(random() % damaged.size());
      (void)coder.Decode(s.spec, 0, codec, damaged, parents.given(), out);
    }
  }
}

TEST(ChunkCoder, AFrameOfZstdStandsAlone) {
  const std::string text = "the first line of many. ";
  ObjectSpec spec;
  spec.byte_size = 40 * text.size();
  spec.chunk_elems = spec.byte_size;
  Bytes raw;
  while (raw.size() < spec.byte_size) {
    const auto line = std::as_bytes(std::span(text));
    raw.insert(raw.end(), line.begin(), line.end());
  }
  ChunkCoder coder;
  Bytes payload;
  ASSERT_EQ(coder.Encode(spec, Level::kMax, 0, raw, {}, &payload).value(), ChunkCodec::kZstd);
  Bytes out(raw.size());
  ASSERT_TRUE(coder.Decode(spec, 0, ChunkCodec::kZstd, payload, {}, out).ok());
  EXPECT_EQ(out, raw);
  // A frame without content that decoders skip, in front and behind.
  const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7};
  const auto extra = std::as_bytes(std::span(skippable));
  for (const size_t at : {size_t{0}, payload.size()}) {
    Bytes more = payload;
    more.insert(more.begin() + static_cast<ptrdiff_t>(at), extra.begin(), extra.end());
    const Status status = coder.Decode(spec, 0, ChunkCodec::kZstd, more, {}, out);
    EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << at;
  }
}

TEST(ChunkCoder, Int8IsForElementsOfOneByte) {
  const WeightPair pair = MakePair(DType::kBF16, 64, 256, 2);
  const uint64_t shape[2] = {64, 256};
  ObjectSpec spec = SpecFor(DType::kI8, shape, pair.q.size());
  ChunkCoder coder;
  Bytes payload;
  ASSERT_EQ(coder.Encode(spec, Level::kBalanced, 0, pair.q, {}, &payload).value(),
            ChunkCodec::kInt8);
  Bytes out(pair.q.size());
  EXPECT_TRUE(coder.Decode(spec, 0, ChunkCodec::kInt8, payload, {}, out).ok());
  spec.dtype = DType::kI16;
  spec.chunk_elems = pair.q.size() / 2;
  EXPECT_EQ(coder.Decode(spec, 0, ChunkCodec::kInt8, payload, {}, out).code(), ErrorCode::kCorrupt);
}

// A matrix in which every row is a multiple of the first one, and some noise.
Bytes AlikeRows(uint64_t rows, uint64_t columns) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> first(columns);
  for (float& v : first) v = normal(random);
  Bytes out;
  for (uint64_t r = 0; r < rows; ++r) {
    const float factor = normal(random);
    for (const float v : first) {
      testing::AppendPattern(DType::kBF16, factor * v + 0.05f * normal(random), &out);
    }
  }
  return out;
}

TEST(ChunkCoder, LevelMaxKnowsRowsThatAreAlike) {
  const uint64_t shape[2] = {300, 64};
  const Bytes raw = AlikeRows(shape[0], shape[1]);
  const Subject s{SpecFor(DType::kBF16, shape, raw.size(), Level::kMax), raw};
  const uint64_t most = RoundTrip(s, Level::kMax);
  EXPECT_LT(static_cast<double>(most), 0.85 * static_cast<double>(RoundTrip(s, Level::kBalanced)));
  ChunkCoder coder;
  Bytes payload;
  ASSERT_EQ(coder.Encode(s.spec, Level::kMax, 0, raw, {}, &payload).value(), ChunkCodec::kRows);
  Bytes out(raw.size());
  // Other types, and chunks that are not of whole rows, have no such codec.
  ObjectSpec spec = s.spec;
  spec.dtype = DType::kI16;
  EXPECT_EQ(coder.Decode(spec, 0, ChunkCodec::kRows, payload, {}, out).code(), ErrorCode::kCorrupt);
  spec = s.spec;
  spec.row_elems = 63;
  EXPECT_EQ(coder.Decode(spec, 0, ChunkCodec::kRows, payload, {}, out).code(), ErrorCode::kCorrupt);
}

TEST(ChunkCoder, LevelMaxHasLargerChunksOfMatrices) {
  const uint64_t matrix[2] = {8192, 1024};
  const uint64_t list[1] = {8192 * 1024};
  const auto elems = [](DType dtype, std::span<const uint64_t> shape, Level level) {
    return SpecFor(dtype, shape, 8192 * 1024 * DTypeBits(dtype) / 8, level).chunk_elems;
  };
  for (const DType dtype : {DType::kI8, DType::kF16, DType::kBF16, DType::kF32}) {
    EXPECT_EQ(elems(dtype, matrix, Level::kMax), kMaxLevelChunkElems);
    EXPECT_EQ(elems(dtype, matrix, Level::kBalanced), kChunkElems);
    EXPECT_EQ(elems(dtype, list, Level::kMax), kChunkElems);
  }
  EXPECT_EQ(elems(DType::kI64, matrix, Level::kMax), kMaxLevelChunkElems);
}

TEST(ChunkCoder, ParentsOfTheWrongSizeAreRefused) {
  const WeightPair pair = MakePair(DType::kBF16, 8, 64, 2);
  Subject s = Int8Subject(DType::kBF16, pair);
  ChunkCoder coder;
  Bytes payload;
  s.parents[1].resize(7 * 4);
  const testing::ChunkParents parents = ParentsOf(s, 0);
  const auto codec =
      coder.Encode(s.spec, Level::kBalanced, 0, s.content, parents.given(), &payload);
  EXPECT_EQ(codec.status().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace qstore::scheme
