// SPDX-License-Identifier: Apache-2.0
// Floats given those of another model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/isa.h"
#include "registry/bindings.h"
#include "registry/given.h"
#include "registry/table.h"
#include "registry/tunes.h"
#include "registry/weights.h"
#include "scheme/delta/delta.h"
#include "scheme/delta/delta_coder.h"
#include "scheme/delta/delta_values.h"
#include "scheme/delta/kernels/delta_kernels.h"

namespace qstore::scheme {
namespace {

using testing::AppendPattern;
using testing::Binding;
using testing::BindOrFail;
using testing::ChunkParents;
using testing::Object;
using testing::PatternValue;
using Bytes = std::vector<std::byte>;

constexpr DType kTypes[] = {DType::kBF16, DType::kF16, DType::kF32};

Bytes Weights(DType dtype, size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Bytes out;
  for (size_t i = 0; i < count; ++i) AppendPattern(dtype, 0.02f * normal(random), &out);
  return out;
}

// The first `still` weights stay.
Bytes Tuned(DType dtype, const Bytes& base, float rate, size_t still, uint32_t seed) {
  Bytes out = testing::Tuned(dtype, base, rate, seed);
  const size_t bytes = still * DTypeBits(dtype) / 8;
  std::copy_n(base.begin(), bytes, out.begin());
  return out;
}

Bytes Anything(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes out(size);
  for (std::byte& each : out) each = static_cast<std::byte>(random());
  return out;
}

// Codes all chunks and decodes them again. Returns the bytes they take.
size_t RoundTrip(const ObjectSpec& child, const Bytes& raw, const ObjectSpec& parent,
                 const Bytes& given, std::vector<ChunkCodec>* codecs = nullptr) {
  const auto bound = BindOrFail(Delta(), child, {&parent, 1});
  ChunkCoder coder;
  size_t total = 0;
  const std::vector<Bytes> contents = {given};
  for (uint64_t c = 0; c < child.chunk_count(); ++c) {
    const ChunkParents parents(bound.get(), contents, child, c);
    const size_t begin = child.first_elem(c) * child.elem_bytes();
    const auto part = std::span(raw).subspan(begin, child.chunk_elem_count(c) * child.elem_bytes());
    Bytes payload;
    auto codec = coder.Encode(child, Level::kBalanced, c, part, parents.given(), &payload);
    EXPECT_TRUE(codec.ok());
    if (codecs != nullptr) codecs->push_back(codec.value());
    Bytes back(part.size());
    const Status status = coder.Decode(child, c, codec.value(), payload, parents.given(), back);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(std::equal(back.begin(), back.end(), part.begin()));
    total += payload.size();
  }
  return total;
}

TEST(DeltaValues, StepsLeadBackForAllPatterns) {
  std::mt19937 random(1);
  for (unsigned from = 0; from < 65536; ++from) {
    for (int n = 0; n < 8; ++n) {
      const auto a = static_cast<uint16_t>(from);
      const auto b = static_cast<uint16_t>(random());
      EXPECT_EQ(AfterStep(a, UnZigZag(ZigZag(StepBetween(a, b)))), b);
    }
  }
  EXPECT_EQ(StepBetween<uint16_t>(0x3f80, 0x3f81), 1);
  EXPECT_EQ(StepBetween<uint16_t>(0xbf80, 0xbf81), 1);
  EXPECT_EQ(ZigZag(StepBetween<uint16_t>(0x0000, 0x8000)), 1);
  EXPECT_EQ(ZigZag(StepBetween<uint16_t>(0x8001, 0x0000)), 3);
}

TEST(DeltaValues, SymbolsAndBitsAreEveryStepOnce) {
  for (unsigned symbol = 0; symbol + 1 < DeltaSymbols(16); ++symbol) {
    const uint64_t next = FirstStepOf(symbol) + (uint64_t{1} << ExtraBitsOf(symbol));
    EXPECT_EQ(next, FirstStepOf(symbol + 1)) << symbol;
  }
  const unsigned last = DeltaSymbols(16) - 1;
  EXPECT_EQ(FirstStepOf(last) + (uint64_t{1} << ExtraBitsOf(last)), uint64_t{1} << 16);
}

class DeltaOf : public ::testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

TEST_P(DeltaOf, TunedWeightsTakeFewBytes) {
  const ObjectSpec spec = Object(dtype(), 128 * 1024, 256, 64 * 1024);
  const Bytes base = Weights(dtype(), spec.elem_count(), 3);
  size_t before = 0;
  for (const float rate : {1e-6f, 1e-5f, 1e-4f, 1e-3f}) {
    const Bytes tuned = Tuned(dtype(), base, rate, 1000, 4);
    const size_t size = RoundTrip(spec, tuned, spec, base);
    EXPECT_GT(size, before);
    EXPECT_LT(size, base.size() * 3 / 4) << rate;
    before = size;
  }
}

TEST_P(DeltaOf, EqualChunksTakeNothing) {
  const ObjectSpec spec = Object(dtype(), 4096, 64, 1024);
  const Bytes base = Weights(dtype(), spec.elem_count(), 5);
  EXPECT_EQ(RoundTrip(spec, base, spec, base), 0u);
  // Two of the four are equal.
  const Bytes tuned = Tuned(dtype(), base, 1e-3f, 2048, 6);
  std::vector<ChunkCodec> codecs;
  const size_t size = RoundTrip(spec, tuned, spec, base, &codecs);
  EXPECT_GT(size, 0u);
  EXPECT_EQ(std::count(codecs.begin(), codecs.end(), ChunkCodec::kScheme), 4);
}

TEST_P(DeltaOf, AnyPatternsComeBack) {
  for (const size_t count : {1, 2, 31, 32, 33, 127, 128, 129, 1000, 5000}) {
    const ObjectSpec spec = Object(dtype(), count, count, count);
    const Bytes base = Anything(spec.byte_size, 7);
    RoundTrip(spec, Anything(spec.byte_size, 8), spec, base);
    // Few of them, so that the scheme is what codes them.
    Bytes close = base;
    for (size_t i = 0; i < close.size(); i += 97) close[i] ^= std::byte{0xff};
    RoundTrip(spec, close, spec, base);
  }
}

TEST_P(DeltaOf, RowsBehindThoseOfTheParentAreCodedAlone) {
  for (const uint64_t rows : {5, 8, 16, 21, 40}) {
    const ObjectSpec parent = Object(dtype(), 20 * 128, 128, 8 * 128);
    const ObjectSpec child = Object(dtype(), rows * 128, 128, 8 * 128);
    const Bytes base = Weights(dtype(), parent.elem_count(), 9);
    Bytes raw = Weights(dtype(), child.elem_count(), 10);
    std::copy_n(base.begin(), std::min(base.size(), raw.size()), raw.begin());
    const size_t size = RoundTrip(child, raw, parent, base);
    const size_t alone = rows > 20 ? raw.size() - base.size() : 0;
    EXPECT_LE(size, alone + 64) << rows;
  }
}

TEST_P(DeltaOf, DamagedPayloadsAreErrorsOrOtherContent) {
  const ObjectSpec spec = Object(dtype(), 3000, 300, 3000);
  const Bytes base = Weights(dtype(), spec.elem_count(), 11);
  const Bytes tuned = Tuned(dtype(), base, 2e-3f, 0, 12);
  DeltaScratch scratch;
  Bytes payload;
  EncodeDelta(dtype(), tuned, base, &scratch, &payload);
  payload.resize(payload.size() + 8);
  std::mt19937 random(13);
  Bytes back(tuned.size());
  for (int n = 0; n < 3000; ++n) {
    Bytes damaged = payload;
    damaged[n < 1000 ? static_cast<size_t>(n) % payload.size() : random() % payload.size()] ^=
        static_cast<std::byte>(1 + random() % 255);
    if (n % 3 == 0) damaged.resize(random() % damaged.size());
    base::ByteReader reader(damaged);
    (void)DecodeDelta(dtype(), &reader, base, &scratch, back);
  }
  base::ByteReader reader(payload);
  ASSERT_TRUE(DecodeDelta(dtype(), &reader, base, &scratch, back).ok());
  EXPECT_EQ(back, tuned);
}

INSTANTIATE_TEST_SUITE_P(Types, DeltaOf, ::testing::ValuesIn(kTypes),
                         [](const auto& test) { return std::string(DTypeName(test.param)); });

TEST(DeltaKernels, MakeTheSame) {
  std::vector<const DeltaKernels*> tables;
#if defined(QSTORE_X86_KERNELS)
  if (base::HasIsa(base::Isa::kAvx2)) tables.push_back(&kAvx2Delta);
  if (base::HasIsa(base::Isa::kAvx512)) tables.push_back(&kAvx512Delta);
#endif
  constexpr size_t kCount = 65536 + 13;
  std::vector<uint8_t> floats, others, symbols;
  std::mt19937 random(14);
  for (size_t i = 0; i < kCount; ++i) {
    floats.push_back(static_cast<uint8_t>(i));
    floats.push_back(static_cast<uint8_t>(i >> 8));
    for (int n = 0; n < 2; ++n) others.push_back(static_cast<uint8_t>(random()));
    symbols.push_back(static_cast<uint8_t>(random()));
  }
  uint8_t map[16];
  for (uint8_t& each : map) each = static_cast<uint8_t>(random() % 32);
  for (const DeltaKernels* table : tables) {
    for (const size_t count : {kCount, size_t{31}, size_t{0}, size_t{32}, size_t{65}}) {
      std::vector<uint8_t> expected(2 * count), found(2 * count);
      for (const unsigned mantissa : {7u, 10u}) {
        for (const unsigned top : {0u, 9u, 31u, 126u, 255u}) {
          kScalarDelta.contexts(floats.data(), count, mantissa, top, map, expected.data());
          table->contexts(floats.data(), count, mantissa, top, map, found.data());
          EXPECT_EQ(found, expected);
        }
      }
      kScalarDelta.apply(floats.data(), symbols.data(), count, expected.data());
      table->apply(floats.data(), symbols.data(), count, found.data());
      EXPECT_EQ(found, expected);
      std::vector<uint32_t> steps(count), same(count);
      kScalarDelta.steps(floats.data(), others.data(), count, steps.data());
      table->steps(floats.data(), others.data(), count, same.data());
      EXPECT_EQ(same, steps);
    }
  }
}

Binding DeltaBinding() {
  return {"delta", Object(DType::kBF16, 24, 4, 8), {Object(DType::kBF16, 24, 4, 8)}, {}};
}

TEST(DeltaScheme, BindsTensorsOfOneTypeAndLengthOfRows) {
  EXPECT_TRUE(DeltaBinding().Bind().ok());
  for (const uint64_t elems : {0, 4, 20, 400}) {
    Binding binding = DeltaBinding();
    binding.parents[0].byte_size = 2 * elems;
    EXPECT_TRUE(binding.Bind().ok()) << elems;
  }
  const auto refused = [](const auto& change) {
    Binding binding = DeltaBinding();
    change(&binding);
    EXPECT_EQ(binding.Bind().code(), ErrorCode::kCorrupt);
  };
  refused([](Binding* b) { b->parents.clear(); });
  refused([](Binding* b) { b->params.push_back({}); });
  refused([](Binding* b) { b->parents[0].dtype = DType::kF16; });
  refused([](Binding* b) { b->child.dtype = b->parents[0].dtype = DType::kI16; });
  refused([](Binding* b) { b->parents[0].row_elems = 8, b->parents[0].byte_size = 64; });
}

size_t EdgesFrom(const testing::Listed& child, const testing::Listed& parent) {
  testing::Table own, other;
  own.Add(child.name, child.dtype, child.shape);
  other.Add(parent.name, parent.dtype, parent.shape);
  std::vector<Edge> edges;
  Delta().Detect(own.tensor(0), own, other, &edges);
  return edges.size();
}

TEST(DeltaScheme, ProposesTensorsOfOneNameAndType) {
  EXPECT_EQ(EdgesFrom({"a", DType::kBF16, {8, 4}}, {"a", DType::kBF16, {8, 4}}), 1u);
  EXPECT_EQ(EdgesFrom({"a", DType::kF16, {9, 4}}, {"a", DType::kF16, {8, 4}}), 1u);
  EXPECT_EQ(EdgesFrom({"a", DType::kBF16, {8, 4}}, {"b", DType::kBF16, {8, 4}}), 0u);
  EXPECT_EQ(EdgesFrom({"a", DType::kBF16, {8, 4}}, {"a", DType::kF16, {8, 4}}), 0u);
  EXPECT_EQ(EdgesFrom({"a", DType::kBF16, {8, 4}}, {"a", DType::kBF16, {8, 5}}), 0u);
  EXPECT_EQ(EdgesFrom({"a", DType::kI8, {8, 4}}, {"a", DType::kI8, {8, 4}}), 0u);
  EXPECT_EQ(EdgesFrom({"a", DType::kBF16, {}}, {"a", DType::kBF16, {}}), 0u);
}

}  // namespace
}  // namespace qstore::scheme
