// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/side_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "registry/given.h"
#include "registry/grids.h"

namespace qstore::scheme {
namespace {

using testing::GridTwin;
using Bytes = std::vector<std::byte>;

struct Coded {
  uint64_t bytes = 0;
  bool comes_back = true;
};

Coded RoundTrip(const Scheme& scheme, const ObjectSpec& spec, const Bytes& content,
                const std::vector<ObjectSpec>& specs, const std::vector<Bytes>& parents,
                const GridParams& params) {
  Coded coded;
  const auto bound = testing::BindOrFail(scheme, spec, specs, WriteGridParams(params));
  if (bound == nullptr) return {0, false};
  ChunkCoder encoder, decoder;
  for (uint64_t c = 0; c < spec.chunk_count(); ++c) {
    const testing::ChunkParents given(bound.get(), parents, spec, c);
    const auto raw = std::span(content).subspan(spec.first_elem(c) * spec.elem_bytes(),
                                                spec.chunk_elem_count(c) * spec.elem_bytes());
    Bytes payload;
    const auto codec =
        encoder.Encode(spec, Level::kBalanced, c, raw, given.given(), &payload).value();
    coded.bytes += payload.size();
    Bytes out(raw.size(), std::byte{0xaa});
    const Status status = decoder.Decode(spec, c, codec, payload, given.given(), out);
    coded.comes_back &= status.ok() && std::equal(raw.begin(), raw.end(), out.begin());
  }
  return coded;
}

struct Case {
  const char* name;
  RoundingRule rule;
  DType weights;
  uint64_t rows;
  Groups groups;
  CodeLayout layout = CodeLayout::kPlain;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

constexpr Groups kRow = {1, 256, 256};
constexpr Groups kRun64 = {1, 64, 256};

const Case kCases[] = {
    {"LlmInt8", RoundingRule::kLlmInt8, DType::kBF16, 300, kRow},
    {"LlmInt8OfF16", RoundingRule::kLlmInt8, DType::kF16, 70, kRow},
    {"LlmInt8OfF32", RoundingRule::kLlmInt8, DType::kF32, 70, kRow},
    {"LlmInt8Quotient", RoundingRule::kLlmInt8Quotient, DType::kBF16, 70, kRow},
    {"Nf4", RoundingRule::kNf4, DType::kBF16, 300, kRun64, CodeLayout::kHighFirst},
    {"Nf4OfF16", RoundingRule::kNf4, DType::kF16, 70, kRun64, CodeLayout::kHighFirst},
    {"Nf4OfF32", RoundingRule::kNf4, DType::kF32, 70, kRun64, CodeLayout::kHighFirst},
    {"Fp4", RoundingRule::kFp4, DType::kBF16, 70, kRun64, CodeLayout::kHighFirst},
    {"Fp8ByRow", RoundingRule::kE4m3, DType::kBF16, 300, kRow},
    {"Fp8OfTensor", RoundingRule::kE4m3, DType::kBF16, 70, {70, 256, 256}},
    {"Fp8ByBlock", RoundingRule::kE4m3, DType::kBF16, 300, {128, 128, 300}},
    {"Fp8OfF16", RoundingRule::kE4m3, DType::kF16, 70, kRow},
    {"Fp8OfF32", RoundingRule::kE4m3, DType::kF32, 70, kRow},
    {"Fp8Inverse", RoundingRule::kE4m3Inverse, DType::kBF16, 300, {128, 128, 384}},
    {"Fp8InverseByRow", RoundingRule::kE4m3Inverse, DType::kBF16, 70, kRow},
    {"Int8", RoundingRule::kInt8, DType::kBF16, 300, kRow},
    {"Int8OfF16", RoundingRule::kInt8, DType::kF16, 70, kRow},
    {"Int4", RoundingRule::kInt4, DType::kBF16, 304, kRun64, CodeLayout::kOffset},
    {"Int4OfF16", RoundingRule::kInt4, DType::kF16, 72, kRun64, CodeLayout::kOffset},
    {"Int4Zeros", RoundingRule::kInt4Zeros, DType::kBF16, 304, kRun64, CodeLayout::kOffset},
    {"Int4ZerosOfF16", RoundingRule::kInt4Zeros, DType::kF16, 72, kRun64, CodeLayout::kOffset},
    {"Int8Zeros", RoundingRule::kInt8Zeros, DType::kBF16, 304, kRun64, CodeLayout::kOffset},
    {"Int8ZerosOfF16", RoundingRule::kInt8Zeros, DType::kF16, 72, kRun64, CodeLayout::kOffset},
    {"Int8ByteZeros", RoundingRule::kInt8ByteZeros, DType::kBF16, 70, kRow},
    {"Int8ByteZerosOfF16", RoundingRule::kInt8ByteZeros, DType::kF16, 70, kRow},
    {"Nvfp4", RoundingRule::kNvfp4, DType::kBF16, 304, {1, 16, 256}},
    {"Nvfp4OfF32", RoundingRule::kNvfp4, DType::kF32, 72, {1, 16, 256}},
    {"Mxfp4", RoundingRule::kMxfp4, DType::kBF16, 304, {1, 32, 256}},
    {"Mxfp8", RoundingRule::kMxfp8, DType::kBF16, 304, {1, 32, 256}},
    {"Int8Words", RoundingRule::kInt8, DType::kBF16, 304, {1, 128, 256}, CodeLayout::kOffset},
    {"Int8Whole", RoundingRule::kInt8Whole, DType::kBF16, 304, kRow},
    {"Int8Wide", RoundingRule::kInt8Wide, DType::kBF16, 304, kRow},
    {"Fp8Wide", RoundingRule::kE4m3Wide, DType::kBF16, 304, kRow},
    {"Fp8Single", RoundingRule::kE4m3Single, DType::kBF16, 304, kRow},
    {"Fp8SingleOfF16", RoundingRule::kE4m3Single, DType::kF16, 70, kRow},
    {"Fp8Reciprocal", RoundingRule::kE4m3Reciprocal, DType::kBF16, 304, kRow},
    {"Nvfp4Product", RoundingRule::kNvfp4Product, DType::kBF16, 304, {1, 16, 256}},
    {"Affine2", RoundingRule::kAffine2, DType::kBF16, 304, kRun64},
    {"Affine3", RoundingRule::kAffine3, DType::kBF16, 304, kRun64},
    {"Affine4", RoundingRule::kAffine4, DType::kBF16, 304, kRun64},
    {"Affine4OfF16", RoundingRule::kAffine4, DType::kF16, 304, kRun64},
    {"Affine5", RoundingRule::kAffine5, DType::kBF16, 304, kRun64},
    {"Affine6", RoundingRule::kAffine6, DType::kBF16, 304, kRun64},
    {"Affine8", RoundingRule::kAffine8, DType::kBF16, 304, kRun64},
};

// The objects of a twin, and ways to code them.
class GridSchemes : public ::testing::TestWithParam<Case> {
 protected:
  static GridTwin Make(const Case& c) {
    return testing::MakeGridTwin(c.rule, c.weights, c.rows, c.groups, c.layout);
  }
  bool is_affine() const { return twin_.params.rounding().scale == ScaleKind::kAffine; }
  bool is_packed() const { return twin_.params.layout == CodeLayout::kOffset || is_affine(); }
  DType zeros_type() const {
    if (is_affine()) return twin_.weights_type;
    return twin_.params.rounding().has_byte_zeros ? DType::kI8 : DType::kI32;
  }
  bool has_runs() const { return twin_.params.groups.AreRuns(twin_.elem_count()); }

  // Chunks end within blocks of rows.
  ObjectSpec WeightsSpec() const {
    const uint64_t columns = twin_.params.groups.columns;
    ObjectSpec spec =
        SpecFor(twin_.weights_type, std::array{twin_.rows, columns}, twin_.weights.size());
    spec.chunk_elems = 56 * columns;
    return spec;
  }
  ObjectSpec CodesSpec() const {
    const DType type = is_packed() ? DType::kI32 : DType::kU8;
    ObjectSpec spec = SpecFor(type, std::array{twin_.codes.size()}, twin_.codes.size());
    spec.chunk_elems =
        WeightsSpec().chunk_elems * twin_.params.rounding().bits / (8 * spec.elem_bytes());
    return spec;
  }
  ObjectSpec SideSpec(DType type, const Bytes& content, uint64_t per_chunk = 0) const {
    ObjectSpec spec =
        SpecFor(type, std::array{content.size() / (DTypeBits(type) / 8)}, content.size());
    if (per_chunk > 0) spec.chunk_elems = per_chunk;
    return spec;
  }
  // As many as there are chunks of weights.
  ObjectSpec ScalesSpec() const {
    const uint64_t per_chunk = WeightsSpec().chunk_elems / twin_.params.groups.width;
    return SideSpec(twin_.scale_type(), twin_.scales, has_runs() ? per_chunk : 0);
  }

  // Codes given weights, and the sides unless they follow.
  Coded CodeCodes(bool sides_follow) const {
    GridParams params = twin_.params;
    std::vector<ObjectSpec> specs = {WeightsSpec()};
    std::vector<Bytes> parents = {twin_.weights};
    params.sides.has_scales = !sides_follow;
    params.sides.has_zeros &= !sides_follow;
    const auto add = [&](bool has, DType type, const Bytes& content) {
      if (!has) return;
      specs.push_back(SideSpec(type, content));
      parents.push_back(content);
    };
    add(params.sides.has_scales, twin_.scale_type(), twin_.scales);
    add(params.sides.has_zeros, zeros_type(), twin_.zeros);
    add(params.sides.has_global, DType::kF32, twin_.global);
    return RoundTrip(GridCodes(), CodesSpec(), twin_.codes, specs, parents, params);
  }
  Coded CodeSide(bool zeros) const {
    GridParams params = twin_.params;
    params.sides = {!zeros, zeros, params.sides.has_global};
    std::vector<ObjectSpec> specs = {WeightsSpec()};
    std::vector<Bytes> parents = {twin_.weights};
    if (params.sides.has_global) {
      specs.push_back(SideSpec(DType::kF32, twin_.global));
      parents.push_back(twin_.global);
    }
    const uint64_t per_chunk =
        ScalesSpec().chunk_elems / (is_affine() ? 1 : ZeroRows(twin_.params.rounding()));
    return RoundTrip(GridScales(),
                     zeros ? SideSpec(zeros_type(), twin_.zeros, per_chunk) : ScalesSpec(),
                     zeros ? twin_.zeros : twin_.scales, specs, parents, params);
  }
  // Weights given codes and sides.
  Coded CodeWeights(const Scheme& scheme, const Bytes& weights) const {
    GridParams params = twin_.params;
    params.sides.has_zeros = false;
    std::vector<ObjectSpec> specs = {CodesSpec(), SideSpec(twin_.scale_type(), twin_.scales)};
    std::vector<Bytes> parents = {twin_.codes, twin_.scales};
    if (params.sides.has_global) {
      specs.push_back(SideSpec(DType::kF32, twin_.global));
      parents.push_back(twin_.global);
    }
    return RoundTrip(scheme, WeightsSpec(), weights, specs, parents, params);
  }

  void Disturb(Bytes* content, unsigned times) {
    for (unsigned i = 0; i < times; ++i) {
      (*content)[random_() % content->size()] = static_cast<std::byte>(random_());
    }
  }

  std::mt19937 random_{7};
  GridTwin twin_ = Make(GetParam());
};

class GridSchemesOfRuns : public GridSchemes {};    // Chunks have whole groups.
class GridSchemesOfBins : public GridSchemes {};    // Weights are coded given codes.
class GridSchemesOfValues : public GridSchemes {};  // Weights may be the values of codes.

std::vector<Case> Those(bool (*has)(const Case&)) {
  std::vector<Case> cases;
  std::copy_if(std::begin(kCases), std::end(kCases), std::back_inserter(cases), has);
  return cases;
}
bool AreRuns(const Case& c) { return c.groups.AreRuns(c.rows * c.groups.columns); }
bool HaveBins(const Case& c) {
  const Rounding& rounding = RoundingOf(c.rule);
  return rounding.bits == 8 && !rounding.through_fp16 && !HasZeros(rounding) &&
         c.layout == CodeLayout::kPlain && c.groups.columns % c.groups.width == 0;
}
bool HaveValues(const Case& c) {
  return !RoundingOf(c.rule).through_fp16 && !HasZeros(RoundingOf(c.rule));
}
std::string NameOf(const ::testing::TestParamInfo<Case>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(Rules, GridSchemes, ::testing::ValuesIn(kCases), NameOf);
INSTANTIATE_TEST_SUITE_P(Rules, GridSchemesOfRuns, ::testing::ValuesIn(Those(AreRuns)), NameOf);
INSTANTIATE_TEST_SUITE_P(Rules, GridSchemesOfBins, ::testing::ValuesIn(Those(HaveBins)), NameOf);
INSTANTIATE_TEST_SUITE_P(Rules, GridSchemesOfValues, ::testing::ValuesIn(Those(HaveValues)),
                         NameOf);

TEST_P(GridSchemes, CodesFollowFromWeightsAndSides) {
  const Coded coded = CodeCodes(false);
  EXPECT_TRUE(coded.comes_back);
  // Codes of rules with biases are by scales that have not been rounded.
  EXPECT_TRUE(is_affine() || coded.bytes == 0);
}

TEST_P(GridSchemesOfRuns, CodesAndSidesFollowFromWeights) {
  const Coded codes = CodeCodes(true);
  EXPECT_TRUE(codes.comes_back);
  EXPECT_EQ(codes.bytes, 0u);
  const Coded scales = CodeSide(false);
  EXPECT_TRUE(scales.comes_back);
  EXPECT_EQ(scales.bytes, 0u);
  if (twin_.zeros.empty()) return;
  const Coded zeros = CodeSide(true);
  EXPECT_TRUE(zeros.comes_back);
  EXPECT_EQ(zeros.bytes, 0u);
}

TEST_P(GridSchemes, ExceptionsCostBytesOnly) {
  Disturb(&twin_.codes, 50);
  Disturb(&twin_.scales, 5);
  Disturb(&twin_.weights, 300);
  const Coded codes = CodeCodes(false);
  EXPECT_TRUE(codes.comes_back);
  EXPECT_GT(codes.bytes, 0u);
  if (!has_runs()) return;
  EXPECT_TRUE(CodeCodes(true).comes_back);
  EXPECT_TRUE(CodeSide(false).comes_back);
  EXPECT_TRUE(twin_.zeros.empty() || CodeSide(true).comes_back);
}

// Infinities, NaNs, subnormals and zeros of either sign, alone and by the group.
TEST_P(GridSchemes, SpecialWeightsAndScalesComeBack) {
  const size_t size = DTypeBits(twin_.weights_type) / 8;
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 3e38f, 1e-38f};
  for (size_t i = 0; i < 600; ++i) {
    Bytes pattern;
    testing::AppendPattern(twin_.weights_type, special[i % std::size(special)], &pattern);
    const size_t at = i < 200 ? i : random_() % twin_.elem_count();
    std::copy(pattern.begin(), pattern.end(),
              twin_.weights.begin() + static_cast<ptrdiff_t>(at * size));
  }
  std::fill_n(twin_.scales.begin(), std::min<size_t>(twin_.scales.size(), 3), std::byte{0});
  std::fill(twin_.global.begin(), twin_.global.end(), std::byte{0xff});
  EXPECT_TRUE(CodeCodes(false).comes_back);
  if (!has_runs()) return;
  EXPECT_TRUE(CodeCodes(true).comes_back);
  EXPECT_TRUE(CodeSide(false).comes_back);
  EXPECT_TRUE(twin_.zeros.empty() || CodeSide(true).comes_back);
}

TEST_P(GridSchemesOfBins, WeightsTakeLittleBesideCodes) {
  const Coded coded = CodeWeights(GridWeights(), twin_.weights);
  EXPECT_TRUE(coded.comes_back);
  const double bits =
      8.0 * static_cast<double>(coded.bytes) / static_cast<double>(twin_.elem_count());
  const unsigned beyond = DTypeBits(twin_.weights_type) - 16;
  EXPECT_LT(bits, (twin_.weights_type == DType::kBF16 ? 4.4 : 7.4) + beyond);
  Disturb(&twin_.codes, 50);
  Disturb(&twin_.scales, 5);
  Disturb(&twin_.weights, 50);
  EXPECT_TRUE(CodeWeights(GridWeights(), twin_.weights).comes_back);
}

TEST_P(GridSchemesOfValues, ValuesOfCodesTakeNothing) {
  const Rounding& rounding = twin_.params.rounding();
  // Each weight is the number of its code times the scale.
  GridTwin values = twin_;
  const size_t size = DTypeBits(twin_.weights_type) / 8;
  values.weights.clear();
  float global = 1.0f;
  if (!twin_.global.empty()) global = testing::PatternValue(DType::kF32, twin_.global.data());
  const size_t scale_size = DTypeBits(twin_.scale_type()) / 8;
  for (uint64_t i = 0; i < twin_.elem_count(); ++i) {
    const auto byte = static_cast<unsigned>(twin_.codes[i * rounding.bits / 8]);
    unsigned code = rounding.bits == 8 && is_packed() ? byte ^ 0x80 : byte;
    if (rounding.bits == 4) {
      const bool low = (i % 2 == 0) != (twin_.params.layout == CodeLayout::kHighFirst);
      code = low ? byte & 15 : byte >> 4;
      if (is_packed()) code ^= 8;
    }
    uint32_t scale = 0;
    std::memcpy(&scale, &twin_.scales[twin_.params.groups.Of(i) * scale_size], scale_size);
    float factor = 0;
    if (rounding.scale == ScaleKind::kGlobal) {
      factor = static_cast<float>(testing::NumberOfE4m3Size(scale)) / global;
    } else if (rounding.scale == ScaleKind::kProduct) {
      factor = static_cast<float>(testing::NumberOfE4m3Size(scale)) * global;
    } else if (rounding.scale == ScaleKind::kPower) {
      factor = std::ldexp(1.0f, static_cast<int>(scale) - 127);
    } else {
      factor = testing::PatternValue(twin_.scale_type(),
                                     &twin_.scales[twin_.params.groups.Of(i) * scale_size]);
    }
    const float number = NumberOfCode(rounding, static_cast<uint8_t>(code));
    testing::AppendPattern(twin_.weights_type, number * factor, &values.weights);
  }
  ASSERT_EQ(values.weights.size(), twin_.elem_count() * size);
  const Coded coded = CodeWeights(GridValues(), values.weights);
  EXPECT_TRUE(coded.comes_back);
  EXPECT_EQ(coded.bytes, 0u);
  Disturb(&values.weights, 50);
  EXPECT_TRUE(CodeWeights(GridValues(), values.weights).comes_back);
}

}  // namespace
}  // namespace qstore::scheme
