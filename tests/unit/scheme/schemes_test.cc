// SPDX-License-Identifier: Apache-2.0
// What each scheme wants of parents and parameters.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "format/limits.h"
#include "registry/given.h"
#include "scheme/registry.h"

namespace qstore::scheme {
namespace {

using testing::NumberOf;

// Objects with what a scheme says of them.
struct Binding {
  std::string scheme;
  ObjectSpec child;
  std::vector<ObjectSpec> parents;
  std::vector<std::byte> params;

  Status Bind() const {
    for (const Scheme* each : Schemes()) {
      if (each->name() == scheme) {
        return BindScheme(each->id(), child, parents, params).status();
      }
    }
    return NotFound(scheme);
  }
};

ObjectSpec Object(DType dtype, uint64_t elems, uint64_t row_elems, uint64_t chunk_elems) {
  ObjectSpec spec;
  spec.dtype = dtype;
  spec.byte_size = elems * DTypeBits(dtype) / 8;
  spec.row_elems = row_elems;
  spec.chunk_elems = chunk_elems;
  return spec;
}

Binding Int8Binding() {
  return {"llm-int8",
          Object(DType::kBF16, 12, 4, 8),
          {Object(DType::kI8, 12, 4, 8), Object(DType::kF32, 3, 3, 8)},
          {}};
}

Binding CastBinding() {
  return {"cast",
          Object(DType::kBF16, 12, 4, 8),
          {Object(DType::kF16, 12, 4, 8)},
          {NumberOf(DType::kF16)}};
}

// 64 inputs, 32 outputs, 2 groups: a qweight of 8 bits without g_idx.
Binding FloatsBinding() {
  return {"gptq",
          Object(DType::kBF16, 2048, 64, 512),
          {Object(DType::kI32, 512, 32, 64), Object(DType::kF32, 64, 32, 64),
           Object(DType::kI32, 16, 8, 16), Object(DType::kI32, 64, 64, 64)},
          {NumberOf(DType::kF32), std::byte{1}}};
}

// The same tensor given one of 4 bits with g_idx.
Binding IntegersBinding() {
  return {"gptq-integers",
          Object(DType::kI32, 512, 32, 256),
          {Object(DType::kI32, 256, 32, 128), Object(DType::kF16, 64, 32, 64),
           Object(DType::kI32, 8, 4, 8), Object(DType::kI32, 64, 64, 64),
           Object(DType::kF32, 64, 32, 64), Object(DType::kI32, 16, 8, 16)},
          {NumberOf(DType::kF16), NumberOf(DType::kF32), std::byte{1}}};
}

// 16 rows of 64 weights in runs of 32: rule, layout, flags, groups.
std::vector<std::byte> GridParamBytes(unsigned rule, unsigned layout, unsigned flags) {
  std::vector<std::byte> bytes;
  for (const unsigned each : {rule, layout, flags, 1u, 32u, 64u}) {
    bytes.push_back(static_cast<std::byte>(each));
  }
  return bytes;
}

// Words of int4 with scales and zero points.
Binding GridCodesBinding() {
  return {"grid-codes",
          Object(DType::kI32, 128, 8, 64),
          {Object(DType::kBF16, 1024, 64, 512), Object(DType::kBF16, 32, 2, 512),
           Object(DType::kI32, 4, 2, 512)},
          GridParamBytes(9, 2, 3)};
}
// The same given the weights alone.
Binding GridCodesAloneBinding() {
  return {"grid-codes",
          Object(DType::kI32, 128, 8, 64),
          {Object(DType::kBF16, 1024, 64, 512)},
          GridParamBytes(9, 2, 0)};
}
// Scales of NVFP4.
Binding GridScalesBinding() {
  return {"grid-scales",
          Object(DType::kF8E4M3, 32, 2, 16),
          {Object(DType::kBF16, 1024, 64, 512), Object(DType::kF32, 1, 1, 512)},
          GridParamBytes(10, 0, 5)};
}
Binding GridZerosBinding() {
  return {"grid-scales",
          Object(DType::kI32, 4, 2, 2),
          {Object(DType::kBF16, 1024, 64, 512)},
          GridParamBytes(9, 0, 2)};
}
Binding GridWeightsBinding() {
  return {"grid-weights",
          Object(DType::kBF16, 1024, 64, 512),
          {Object(DType::kF8E4M3, 1024, 64, 512), Object(DType::kBF16, 32, 2, 512)},
          GridParamBytes(5, 0, 1)};
}
Binding GridValuesBinding() {
  return {"grid-values",
          Object(DType::kBF16, 1024, 64, 512),
          {Object(DType::kU8, 512, 32, 256), Object(DType::kU8, 32, 2, 512)},
          GridParamBytes(11, 0, 1)};
}

// 13 blocks of 64 weights, the last of which is shorter, and 4 outer scales.
Binding NestedScalesBinding() {
  return {"nested-scales",
          Object(DType::kU8, 13, 13, 8),
          {Object(DType::kBF16, 800, 800, 512), Object(DType::kF32, 4, 4, 512),
           Object(DType::kF32, 256, 256, 512), Object(DType::kU8, 150, 150, 512)},
          {std::byte{64}, std::byte{4}}};
}

// A qweight of 8 bits without g_idx, given its weights.
Binding GptqCodesBinding() {
  return {"gptq-codes",
          Object(DType::kI32, 512, 32, 256),
          {Object(DType::kBF16, 2048, 64, 512), Object(DType::kF32, 64, 32, 64),
           Object(DType::kI32, 16, 8, 16)},
          {NumberOf(DType::kF32), std::byte{0}}};
}

TEST(Schemes, HaveNumbersAndNamesOfTheirOwn) {
  std::set<SchemeId> ids = {kNoScheme};
  std::set<std::string> names = {"none", "unknown"};
  for (const Scheme* each : Schemes()) {
    EXPECT_TRUE(ids.insert(each->id()).second) << each->name();
    EXPECT_TRUE(names.insert(std::string(each->name())).second) << each->name();
    EXPECT_EQ(FindScheme(each->id()), each);
  }
  EXPECT_EQ(FindScheme(UINT16_MAX), nullptr);
}

TEST(Schemes, BindWhatFits) {
  for (const Binding& binding : {Int8Binding(), CastBinding(), FloatsBinding(), IntegersBinding(),
                                 GridCodesBinding(), GridCodesAloneBinding(), GridScalesBinding(),
                                 GridZerosBinding(), GridWeightsBinding(), GridValuesBinding()}) {
    EXPECT_TRUE(binding.Bind().ok()) << binding.Bind().ToString();
  }
}

TEST(Schemes, UnknownNumbersAreUnsupported) {
  const Binding binding = Int8Binding();
  EXPECT_EQ(BindScheme(UINT16_MAX, binding.child, binding.parents, {}).status().code(),
            ErrorCode::kUnsupportedFeature);
}

struct WrongCase {
  const char* name;
  Binding (*make)();
  std::function<void(Binding*)> change;
  ErrorCode code = ErrorCode::kCorrupt;
};
void PrintTo(const WrongCase& wrong, std::ostream* out) { *out << wrong.name; }

class WrongBinding : public ::testing::TestWithParam<WrongCase> {};

TEST_P(WrongBinding, IsRefused) {
  Binding binding = GetParam().make();
  GetParam().change(&binding);
  const Status status = binding.Bind();
  EXPECT_EQ(status.code(), GetParam().code) << status.ToString();
  EXPECT_FALSE(status.message().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Rules, WrongBinding,
    ::testing::Values(
        WrongCase{"Int8ParentMissing", Int8Binding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"Int8Params", Int8Binding, [](Binding* b) { b->params.push_back({}); }},
        WrongCase{"Int8CodesOfOtherLength", Int8Binding,
                  [](Binding* b) { b->parents[0].byte_size = 10; }},
        WrongCase{"Int8CodesOfOtherElement", Int8Binding,
                  [](Binding* b) { b->parents[0].dtype = DType::kF16; }},
        WrongCase{"Int8CodesOfOtherChunks", Int8Binding,
                  [](Binding* b) { b->parents[0].chunk_elems = 4; }},
        WrongCase{"Int8ScalesOfOtherLength", Int8Binding,
                  [](Binding* b) { b->parents[1].byte_size = 16; }},
        WrongCase{"Int8LargeScales", Int8Binding,
                  [](Binding* b) { b->parents[1].byte_size = format::kMaxScalesBytes + 4; },
                  ErrorCode::kLimit},
        WrongCase{"Int8OfNoFloat", Int8Binding, [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"Int8RowsCut", Int8Binding, [](Binding* b) { b->child.row_elems = 5; }},
        WrongCase{"CastOfNoFloat", CastBinding, [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"CastFromNoFloat", CastBinding,
                  [](Binding* b) { b->params = {NumberOf(DType::kU16)}; }},
        WrongCase{"CastFromNoType", CastBinding,
                  [](Binding* b) { b->params = {std::byte{kDTypeCount}}; }},
        WrongCase{"CastFromOtherElement", CastBinding,
                  [](Binding* b) { b->params = {NumberOf(DType::kF32)}; }},
        WrongCase{"CastWithoutParams", CastBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{
            "FloatsScales", FloatsBinding,
            [](Binding* b) { b->parents[1].dtype = DType::kF16, b->parents[1].byte_size /= 2; }},
        WrongCase{"FloatsScalesType", FloatsBinding,
                  [](Binding* b) { b->params[0] = NumberOf(DType::kI32); }},
        WrongCase{"FloatsGroupsFlag", FloatsBinding,
                  [](Binding* b) { b->params[1] = std::byte{2}; }},
        WrongCase{"FloatsGroupsMissing", FloatsBinding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"FloatsOfNoFloat", FloatsBinding,
                  [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"FloatsOfF32", FloatsBinding,
                  [](Binding* b) { b->child.dtype = DType::kF32, b->child.byte_size *= 2; }},
        WrongCase{"FloatsRows", FloatsBinding, [](Binding* b) { b->child.row_elems = 32; }},
        WrongCase{"FloatsChunks", FloatsBinding, [](Binding* b) { b->child.chunk_elems = 96; }},
        WrongCase{"FloatsZeros", FloatsBinding, [](Binding* b) { b->parents[2].byte_size = 32; }},
        WrongCase{"FloatsGroups", FloatsBinding, [](Binding* b) { b->parents[3].byte_size = 64; }},
        WrongCase{"FloatsLargeZeros", FloatsBinding,
                  [](Binding* b) { b->parents[2].byte_size = format::kMaxScalesBytes + 4; },
                  ErrorCode::kLimit},
        WrongCase{"IntegersScales", IntegersBinding,
                  [](Binding* b) { b->parents[4].byte_size = 128; }},
        WrongCase{"IntegersZeros", IntegersBinding,
                  [](Binding* b) { b->parents[5].byte_size = 4; }},
        WrongCase{"IntegersFlags", IntegersBinding,
                  [](Binding* b) { b->params[2] = std::byte{4}; }},
        WrongCase{"IntegersOwnGroupsMissing", IntegersBinding,
                  [](Binding* b) { b->params[2] = std::byte{3}; }},
        WrongCase{"IntegersOwnScalesType", IntegersBinding,
                  [](Binding* b) { b->params[1] = NumberOf(DType::kF16); }},
        WrongCase{"IntegersRows", IntegersBinding, [](Binding* b) { b->child.row_elems = 64; }},
        WrongCase{"IntegersParentRows", IntegersBinding,
                  [](Binding* b) { b->parents[0].row_elems = 16; }},
        WrongCase{"IntegersChunks", IntegersBinding,
                  [](Binding* b) { b->child.chunk_elems = 128; }},
        WrongCase{"IntegersParentChunks", IntegersBinding,
                  [](Binding* b) { b->parents[0].chunk_elems = 256; }}),
    [](const auto& test) { return std::string(test.param.name); });

std::byte B(unsigned value) { return static_cast<std::byte>(value); }

INSTANTIATE_TEST_SUITE_P(
    GridRules, WrongBinding,
    ::testing::Values(
        WrongCase{"ParamsEmpty", GridCodesBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{"ParamsCut", GridCodesBinding, [](Binding* b) { b->params.pop_back(); }},
        WrongCase{"ParamsLong", GridCodesBinding, [](Binding* b) { b->params.push_back(B(0)); }},
        WrongCase{"ParamsPadded", GridCodesBinding,
                  [](Binding* b) { b->params.back() = B(192), b->params.push_back(B(0)); }},
        WrongCase{"RuleZero", GridCodesBinding, [](Binding* b) { b->params[0] = B(0); }},
        WrongCase{"RuleUnknown", GridCodesBinding, [](Binding* b) { b->params[0] = B(200); }},
        WrongCase{"LayoutUnknown", GridCodesBinding, [](Binding* b) { b->params[1] = B(3); }},
        WrongCase{"LayoutOfFourBits", GridWeightsBinding, [](Binding* b) { b->params[1] = B(1); }},
        WrongCase{"FlagUnknown", GridCodesBinding, [](Binding* b) { b->params[2] = B(11); }},
        WrongCase{"GlobalOfOtherRule", GridCodesBinding, [](Binding* b) { b->params[2] = B(7); }},
        WrongCase{"GlobalMissing", GridScalesBinding,
                  [](Binding* b) { b->params[2] = B(1), b->parents.pop_back(); }},
        WrongCase{"ZerosOfOtherRule", GridCodesBinding, [](Binding* b) { b->params[0] = B(8); }},
        WrongCase{"HeightZero", GridCodesBinding, [](Binding* b) { b->params[3] = B(0); }},
        WrongCase{"WidthZero", GridCodesBinding, [](Binding* b) { b->params[4] = B(0); }},
        WrongCase{"WiderThanRows", GridCodesBinding, [](Binding* b) { b->params[4] = B(65); }},
        WrongCase{"LastRowCut", GridCodesBinding, [](Binding* b) { b->params[5] = B(60); }},
        WrongCase{"CodesSideMissing", GridCodesBinding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"CodesScales", GridCodesBinding,
                  [](Binding* b) { b->parents[1].byte_size += 2; }},
        WrongCase{"CodesZeros", GridCodesBinding, [](Binding* b) { b->parents[2].byte_size += 4; }},
        WrongCase{"CodesLargeScales", GridCodesBinding,
                  [](Binding* b) { b->parents[1].byte_size = format::kMaxScalesBytes + 2; },
                  ErrorCode::kLimit},
        WrongCase{"CodesOfNoFloat", GridCodesBinding,
                  [](Binding* b) { b->parents[0].dtype = DType::kI16; }},
        WrongCase{"CodesTooFew", GridCodesBinding, [](Binding* b) { b->child.byte_size -= 4; }},
        WrongCase{"CodesOfTwoBytes", GridCodesBinding,
                  [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"CodesChunks", GridCodesBinding,
                  [](Binding* b) { b->parents[0].chunk_elems = 256; }},
        WrongCase{"CodesCutGroups", GridCodesAloneBinding,
                  [](Binding* b) { b->child.chunk_elems = 2, b->parents[0].chunk_elems = 16; }},
        WrongCase{"CodesOfBlocksAlone", GridCodesAloneBinding,
                  [](Binding* b) { b->params[3] = B(2); }},
        WrongCase{"ScalesAndZeros", GridZerosBinding, [](Binding* b) { b->params[2] = B(3); }},
        WrongCase{"NeitherScalesNorZeros", GridZerosBinding,
                  [](Binding* b) { b->params[2] = B(0); }},
        WrongCase{"ScalesOfOtherLength", GridScalesBinding,
                  [](Binding* b) { b->child.byte_size = 31; }},
        WrongCase{"ScalesOfBlocks", GridScalesBinding,
                  [](Binding* b) { b->params[3] = B(2), b->child.byte_size = 16; }},
        WrongCase{"ScalesChunks", GridScalesBinding, [](Binding* b) { b->child.chunk_elems = 8; }},
        WrongCase{"ZerosCutRows", GridZerosBinding, [](Binding* b) { b->child.chunk_elems = 1; }},
        WrongCase{"WeightsGivenFourBits", GridWeightsBinding,
                  [](Binding* b) { b->params[0] = B(8); }},
        WrongCase{"WeightsWithoutScales", GridWeightsBinding,
                  [](Binding* b) { b->params[2] = B(0), b->parents.pop_back(); }},
        WrongCase{"WeightsOfNoFloat", GridWeightsBinding,
                  [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"WeightsOfOtherNumber", GridWeightsBinding,
                  [](Binding* b) { b->parents[0].byte_size = 1023; }},
        WrongCase{"ValuesOfLlmInt8", GridValuesBinding, [](Binding* b) { b->params[0] = B(1); }},
        WrongCase{"ValuesWithoutScales", GridValuesBinding,
                  [](Binding* b) { b->params[2] = B(0), b->parents.pop_back(); }},
        WrongCase{"ValuesOfNoFloat", GridValuesBinding,
                  [](Binding* b) { b->child.dtype = DType::kI16; }},
        WrongCase{"ValuesTooMany", GridValuesBinding,
                  [](Binding* b) { b->parents[0].byte_size = 511; }},
        WrongCase{
            "CodesGivenF32", GptqCodesBinding,
            [](Binding* b) { b->parents[0].dtype = DType::kF32, b->parents[0].byte_size *= 2; }},
        WrongCase{"CodesGivenOtherRows", GptqCodesBinding,
                  [](Binding* b) { b->parents[0].row_elems = 32; }},
        WrongCase{"CodesGivenFewWeights", GptqCodesBinding,
                  [](Binding* b) { b->parents[0].byte_size -= 128; }},
        WrongCase{"CodesGroupsFlag", GptqCodesBinding, [](Binding* b) { b->params[1] = B(2); }},
        WrongCase{"CodesGroupsMissing", GptqCodesBinding, [](Binding* b) { b->params[1] = B(1); }},
        WrongCase{"CodesScalesType", GptqCodesBinding,
                  [](Binding* b) { b->params[0] = NumberOf(DType::kI32); }},
        WrongCase{"CodesCutInputs", GptqCodesBinding,
                  [](Binding* b) { b->child.chunk_elems = 128; }},
        WrongCase{"NestedBlockZero", NestedScalesBinding, [](Binding* b) { b->params[0] = B(0); }},
        WrongCase{"NestedParamsLong", NestedScalesBinding,
                  [](Binding* b) { b->params.push_back(B(1)); }},
        WrongCase{"NestedOuterOfOtherSize", NestedScalesBinding,
                  [](Binding* b) { b->params[1] = B(5); }},
        WrongCase{"NestedMap", NestedScalesBinding,
                  [](Binding* b) { b->parents[2].byte_size = 1020; }},
        WrongCase{"NestedLongState", NestedScalesBinding,
                  [](Binding* b) { b->parents[3].byte_size = 4097; }},
        WrongCase{"NestedOfNoFloat", NestedScalesBinding,
                  [](Binding* b) { b->parents[0].dtype = DType::kI16; }},
        WrongCase{"NestedTooMany", NestedScalesBinding,
                  [](Binding* b) { b->child.byte_size = 14; }},
        WrongCase{"ValuesCutBytes", GridValuesBinding,
                  [](Binding* b) { b->child.chunk_elems = 511, b->parents[0].chunk_elems = 255; }}),
    [](const auto& test) { return std::string(test.param.name); });

// Half a gibibyte of words is the most that chunks take whole.
TEST(Schemes, ParentsTakenWholeHaveALimit) {
  constexpr uint64_t kInputs = 1 << 14;
  constexpr uint64_t kOutputs = (1 << 15) + 32;
  const Binding binding{"gptq",
                        Object(DType::kBF16, kInputs * kOutputs, kInputs, 16 * kInputs),
                        {Object(DType::kI32, kInputs / 4 * kOutputs, kOutputs, kOutputs),
                         Object(DType::kF16, kOutputs, kOutputs, kOutputs),
                         Object(DType::kI32, kOutputs / 4, kOutputs / 4, kOutputs)},
                        {NumberOf(DType::kF16), std::byte{0}}};
  EXPECT_EQ(binding.Bind().code(), ErrorCode::kLimit) << binding.Bind().ToString();
}

}  // namespace
}  // namespace qstore::scheme
