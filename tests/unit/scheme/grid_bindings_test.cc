// SPDX-License-Identifier: Apache-2.0
// What the schemes of grids want of parents and parameters.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/limits.h"
#include "registry/bindings.h"

namespace qstore::scheme {
namespace {

using testing::Binding;
using testing::Object;
using testing::WrongCase;
class WrongGridBinding : public testing::WrongBinding {};

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

TEST(GridBindings, BindWhatFits) {
  for (const Binding& binding :
       {GridCodesBinding(), GridCodesAloneBinding(), GridScalesBinding(), GridZerosBinding(),
        GridWeightsBinding(), GridValuesBinding(), NestedScalesBinding()}) {
    EXPECT_TRUE(binding.Bind().ok()) << binding.Bind().ToString();
  }
}

TEST_P(WrongGridBinding, IsRefused) { ExpectRefused(); }

std::byte B(unsigned value) { return static_cast<std::byte>(value); }

INSTANTIATE_TEST_SUITE_P(
    Rules, WrongGridBinding,
    ::testing::Values(
        WrongCase{"ParamsEmpty", GridCodesBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{"ParamsCut", GridCodesBinding, [](Binding* b) { b->params.pop_back(); }},
        WrongCase{"ParamsLong", GridCodesBinding, [](Binding* b) { b->params.push_back(B(0)); }},
        WrongCase{"ParamsPadded", GridCodesBinding,
                  [](Binding* b) { b->params.back() = B(192), b->params.push_back(B(0)); }},
        WrongCase{"RuleZero", GridCodesBinding, [](Binding* b) { b->params[0] = B(0); }},
        WrongCase{"RuleUnknown", GridCodesBinding, [](Binding* b) { b->params[0] = B(200); },
                  ErrorCode::kUnsupportedFeature},
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

}  // namespace
}  // namespace qstore::scheme
