// SPDX-License-Identifier: Apache-2.0
// Codes of tools that calibrate, given the weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "registry/given.h"
#include "registry/weights.h"
#include "scheme/awq/awq.h"
#include "scheme/awq/awq_tensor.h"
#include "scheme/grid/grid_schemes.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kInputs = 256;
constexpr uint64_t kOutputs = 192;
constexpr uint64_t kGroup = 64;

/// How codes come from weights.
struct Tool {
  bool scales_inputs = false;
  bool scales_outputs = false;
  double moved = 0;  // Share of codes that are one more or less.
};

/// Weights and what a tool makes of them: by output, then input.
struct Copy {
  explicit Copy(DType type, const Tool& tool)
      : dtype(type), high(testing::MakePair(type, kOutputs, kInputs, 7).high) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> of_inputs(kInputs, 1.0f);
    std::vector<float> of_outputs(kOutputs, 1.0f);
    for (float& f : of_inputs) f = tool.scales_inputs ? std::exp(0.5f * normal(random)) : 1.0f;
    for (float& f : of_outputs) f = tool.scales_outputs ? std::exp(0.5f * normal(random)) : 1.0f;
    for (uint64_t o = 0; o < kOutputs; ++o) {
      for (uint64_t i = 0; i < kInputs; ++i) {
        const float weight = testing::PatternValue(dtype, &high[2 * (o * kInputs + i)]);
        values.push_back(weight * of_inputs[i] * of_outputs[o]);
      }
    }
    std::uniform_real_distribution<double> share;
    for (uint64_t g = 0; g < values.size() / kGroup; ++g) {
      const auto begin = values.begin() + static_cast<ptrdiff_t>(g * kGroup);
      const auto [low, most] = std::minmax_element(begin, begin + kGroup);
      Bytes scale;
      testing::AppendPattern(dtype, (*most - *low) / 15, &scale);
      scales.push_back(testing::PatternValue(dtype, scale.data()));
      zeros.push_back(std::clamp(static_cast<int>(std::lrint(-*low / scales.back())), 0, 15));
      for (uint64_t i = 0; i < kGroup; ++i) {
        long code = std::lrint(begin[static_cast<ptrdiff_t>(i)] / scales.back()) + zeros.back();
        if (share(random) < tool.moved) code += random() % 2 == 0 ? 1 : -1;
        codes.push_back(static_cast<uint8_t>(std::clamp(code, 0L, 15L)));
      }
    }
  }

  DType dtype;
  Bytes high;
  std::vector<float> values;
  std::vector<float> scales;  // By output, then group.
  std::vector<int> zeros;
  std::vector<uint8_t> codes;
};

/// A child and its parents.
struct Family {
  Bytes child;
  ObjectSpec spec;
  std::vector<Bytes> parents;
  std::vector<ObjectSpec> specs;
  Bytes params;

  void Add(DType type, std::initializer_list<uint64_t> shape, Bytes content) {
    specs.push_back(SpecFor(type, std::vector<uint64_t>(shape), content.size()));
    parents.push_back(std::move(content));
  }

  double Bits(const Scheme& scheme) const {
    uint64_t taken = 0;
    for (const Bytes& payload : Payloads(scheme)) taken += payload.size();
    return 8.0 * static_cast<double>(taken) / (kInputs * kOutputs);
  }

  // Of all chunks, which come back.
  std::vector<Bytes> Payloads(const Scheme& scheme) const {
    std::vector<Bytes> payloads;
    const auto bound = testing::BindOrFail(scheme, spec, specs, params);
    if (bound == nullptr) return payloads;
    EXPECT_GT(spec.chunk_count(), 1u);
    ChunkCoder encoder, decoder;
    const uint64_t size = spec.elem_bytes();
    for (uint64_t c = 0; c < spec.chunk_count(); ++c) {
      const testing::ChunkParents given(bound.get(), parents, spec, c);
      const auto raw =
          std::span(child).subspan(spec.first_elem(c) * size, spec.chunk_elem_count(c) * size);
      Bytes payload;
      const auto codec =
          encoder.Encode(spec, Level::kBalanced, c, raw, given.given(), &payload).value();
      Bytes out(raw.size(), std::byte{0xaa});
      EXPECT_TRUE(decoder.Decode(spec, c, codec, payload, given.given(), out).ok());
      EXPECT_TRUE(std::equal(raw.begin(), raw.end(), out.begin()));
      payloads.push_back(std::move(payload));
    }
    return payloads;
  }
};

// As AutoAWQ stores it.
Family Awq(const Copy& copy) {
  Family family;
  const auto words_of = [](uint64_t rows, const auto& field) {
    std::vector<uint8_t> fields;
    for (uint64_t r = 0; r < rows; ++r) {
      for (uint64_t o = 0; o < kOutputs; ++o) fields.push_back(static_cast<uint8_t>(field(r, o)));
    }
    Bytes words(fields.size() / 2);
    PackAwq(fields.data(), words.size() / 4, words.data());
    return words;
  };
  constexpr uint64_t kGroups = kInputs / kGroup;
  family.child =
      words_of(kInputs, [&](uint64_t i, uint64_t o) { return copy.codes[o * kInputs + i]; });
  family.spec = SpecFor(DType::kI32, std::array{kInputs, kOutputs / 8}, family.child.size());
  family.spec.chunk_elems = 96 * kOutputs / 8;
  family.Add(copy.dtype, {kOutputs, kInputs}, copy.high);
  Bytes scales;
  for (uint64_t g = 0; g < kGroups; ++g) {
    for (uint64_t o = 0; o < kOutputs; ++o) {
      testing::AppendPattern(copy.dtype, copy.scales[o * kGroups + g], &scales);
    }
  }
  family.Add(copy.dtype, {kGroups, kOutputs}, scales);
  family.Add(DType::kI32, {kGroups, kOutputs / 8}, words_of(kGroups, [&](uint64_t g, uint64_t o) {
               return copy.zeros[o * kGroups + g];
             }));
  family.params = {testing::NumberOf(copy.dtype)};
  return family;
}

// As compressed-tensors stores it; an order names groups of inputs, here those that they are of.
Family Packed(const Copy& copy, bool has_order) {
  Family family;
  for (size_t i = 0; i < copy.codes.size(); i += 2) {
    family.child.push_back(static_cast<std::byte>(copy.codes[i] | copy.codes[i + 1] << 4));
  }
  family.spec = SpecFor(DType::kI32, std::array{kOutputs, kInputs / 8}, family.child.size());
  family.spec.chunk_elems = 80 * kInputs / 8;
  family.Add(copy.dtype, {kOutputs, kInputs}, copy.high);
  family.specs[0].chunk_elems = 80 * kInputs;
  constexpr uint64_t kGroups = kInputs / kGroup;
  Bytes scales;
  for (const float scale : copy.scales) testing::AppendPattern(copy.dtype, scale, &scales);
  family.Add(copy.dtype, {kOutputs, kGroups}, scales);
  Bytes zeros(copy.zeros.size() / 2);
  for (uint64_t o = 0; o < kOutputs; ++o) {
    for (uint64_t g = 0; g < kGroups; ++g) {
      const uint64_t bit = 32 * (o / 8 * kGroups + g) + o % 8 * 4;
      zeros[bit / 8] |= static_cast<std::byte>(copy.zeros[o * kGroups + g] << bit % 8);
    }
  }
  family.Add(DType::kI32, {kOutputs / 8, kGroups}, zeros);
  for (const unsigned each : {9u, 2u, 3u, 1u, 64u, 128u, 2u, has_order ? 1u : 0u}) {
    family.params.push_back(static_cast<std::byte>(each));  // 256 columns are two bytes.
  }
  if (!has_order) return family;
  Bytes order(4 * kInputs);
  for (uint64_t i = 0; i < kInputs; ++i) {
    base::StoreLe(order.data() + 4 * i, static_cast<uint32_t>(i / kGroup));
  }
  family.Add(DType::kI32, {kInputs}, order);
  return family;
}

class NearCodes : public ::testing::TestWithParam<DType> {};

TEST_P(NearCodes, TakeLittleWhereFactorsExplainThem) {
  for (const bool outputs : {false, true}) {
    const Copy copy(GetParam(), {true, outputs, 0});
    // 12 bits and more a factor: of 192 or 96 weights, and of 256 or 80.
    EXPECT_LT(Awq(copy).Bits(AwqCodes()), outputs ? 0.5 : 0.25);
    EXPECT_LT(Packed(copy, false).Bits(GridNear()), outputs ? 0.6 : 0.45);
  }
}

TEST_P(NearCodes, TakeTheEntropyOfWhatIsMoved) {
  // A tenth, up or down: 0.57 bits.
  const Copy copy(GetParam(), {false, false, 0.1});
  EXPECT_LT(Awq(copy).Bits(AwqCodes()), 0.75);
  EXPECT_LT(Packed(copy, true).Bits(GridNear()), 0.75);
  const Copy exact(GetParam(), {});
  // Three chunks with 128 bytes of states each.
  EXPECT_LT(Awq(exact).Bits(AwqCodes()), 0.1);
  EXPECT_LT(Packed(exact, true).Bits(GridNear()), 0.1);
}

TEST_P(NearCodes, OfAnOrderWithoutGroupsAreThoseOfRuns) {
  const Copy exact(GetParam(), {});
  Family family = Packed(exact, true);
  std::fill(family.parents[3].begin(), family.parents[3].end(), std::byte{0xff});
  EXPECT_LT(family.Bits(GridNear()), 0.1);
}

// A host may take subnormals for zeros: no code depends on it.
TEST_P(NearCodes, DoNotDependOnSubnormals) {
#if defined(__SSE__)
  Family family = Packed(Copy(GetParam(), {true, true, 0.1}), false);
  // A scale of 0 counts as 2^100. Of BF16 the weights are 2^-30 and more, F16 has none that small.
  std::fill(family.parents[1].begin(), family.parents[1].end(), std::byte{0});
  for (size_t i = 0; GetParam() == DType::kBF16 && i < family.parents[0].size(); i += 2) {
    family.parents[0][i] |= std::byte{0x80};
    family.parents[0][i + 1] = (family.parents[0][i + 1] & std::byte{0x80}) | std::byte{0x30};
  }
  const auto payloads = family.Payloads(GridNear());
  const unsigned kept = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(kept | 0x8040);  // Flush to zero; denormals are zeros.
  const auto same = family.Payloads(GridNear());
  __builtin_ia32_ldmxcsr(kept);
  EXPECT_EQ(payloads, same);
#endif
}

TEST_P(NearCodes, OfAnyContentComeBack) {
  std::mt19937 random(5);
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f};
  const Copy copy(GetParam(), {true, true, 0.05});
  for (const bool is_awq : {false, true}) {
    Family family = is_awq ? Awq(copy) : Packed(copy, true);
    for (size_t i = 0; i < 300; ++i) {
      Bytes pattern;
      testing::AppendPattern(copy.dtype, special[i % std::size(special)], &pattern);
      for (const size_t parent : {0u, 1u}) {
        if (parent == 1 && i % 8 != 0) continue;
        const size_t count = family.parents[parent].size() / 2;
        std::copy(pattern.begin(), pattern.end(),
                  family.parents[parent].begin() + static_cast<ptrdiff_t>(random() % count * 2));
      }
      family.child[random() % family.child.size()] = static_cast<std::byte>(random());
      family.parents[2][random() % family.parents[2].size()] = static_cast<std::byte>(random());
    }
    EXPECT_LT(family.Bits(is_awq ? AwqCodes() : GridNear()), 4.2);
    if (!is_awq) family.parents[3][3] = std::byte{0x11};  // A group that does not exist.
    EXPECT_LT(family.Bits(is_awq ? AwqCodes() : GridNear()), 4.2);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, NearCodes, ::testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& test) { return std::string(DTypeName(test.param)); });

// Words of AutoAWQ 0.2: the outputs 0 to 7 with the codes 0 to 7.
TEST(AwqWords, HaveOutputsInTheirOrder) {
  const uint8_t codes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  std::byte word[4];
  PackAwq(codes, 1, word);
  EXPECT_EQ(base::LoadLe<uint32_t>(word), 0x75316420u);
  uint8_t back[8];
  UnpackAwq(word, 1, back);
  EXPECT_TRUE(std::equal(codes, codes + 8, back));
}

}  // namespace
}  // namespace qstore::scheme
