// SPDX-License-Identifier: Apache-2.0
// What the schemes of near codes want of parents and parameters.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/limits.h"
#include "registry/bindings.h"
#include "registry/given.h"

namespace qstore::scheme {
namespace {

using testing::Binding;
using testing::NumberOf;
using testing::Object;
using testing::WrongCase;
class WrongNearBinding : public testing::WrongBinding {};

std::byte B(unsigned value) { return static_cast<std::byte>(value); }

// 64 inputs, 32 outputs, 2 groups.
Binding AwqBinding() {
  return {"awq-codes",
          Object(DType::kI32, 256, 4, 64),
          {Object(DType::kBF16, 2048, 64, 512), Object(DType::kF16, 64, 32, 64),
           Object(DType::kI32, 8, 4, 8)},
          {NumberOf(DType::kF16)}};
}

// 16 outputs of 64 inputs in runs of 32, in words of int4 with zero points and an order.
Binding NearBinding() {
  return {"grid-near",
          Object(DType::kI32, 128, 8, 64),
          {Object(DType::kBF16, 1024, 64, 512), Object(DType::kBF16, 32, 2, 512),
           Object(DType::kI32, 4, 2, 512), Object(DType::kI32, 64, 64, 64)},
          {B(9), B(2), B(3), B(1), B(32), B(64), B(1)}};
}

// 2 experts of 64 inputs and 6 outputs, in chunks that are no rows.
Binding ExpertBinding() {
  return {"expert-values",
          Object(DType::kBF16, 768, 384, 100),
          {Object(DType::kU8, 384, 192, 384), Object(DType::kU8, 24, 12, 24)},
          {B(64), B(6)}};
}

Binding CastBinding() {
  return {"mxfp4-cast",
          Object(DType::kF8E4M3, 48, 12, 10),
          {Object(DType::kU8, 24, 6, 24), Object(DType::kF32, 1, 1, 1)},
          {B(1)}};
}

Binding CodesCastBinding() {
  return {"mxfp4-cast", Object(DType::kU8, 48, 12, 10), {Object(DType::kU8, 48, 12, 10)}, {B(0)}};
}

TEST(NearBindings, BindWhatFits) {
  for (const Binding& binding :
       {AwqBinding(), NearBinding(), ExpertBinding(), CastBinding(), CodesCastBinding()}) {
    EXPECT_TRUE(binding.Bind().ok()) << binding.Bind().ToString();
  }
}

TEST_P(WrongNearBinding, IsRefused) { ExpectRefused(); }

INSTANTIATE_TEST_SUITE_P(
    Rules, WrongNearBinding,
    ::testing::Values(
        WrongCase{"AwqParamsEmpty", AwqBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{"AwqScalesType", AwqBinding, [](Binding* b) { b->params[0] = B(99); }},
        WrongCase{"AwqScalesOfOtherType", AwqBinding,
                  [](Binding* b) { b->params[0] = NumberOf(DType::kF32); }},
        WrongCase{"AwqZerosMissing", AwqBinding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"AwqZerosCut", AwqBinding, [](Binding* b) { b->parents[2].byte_size = 28; }},
        WrongCase{"AwqScalesCut", AwqBinding, [](Binding* b) { b->parents[1].byte_size = 127; }},
        WrongCase{"AwqLargeScales", AwqBinding,
                  [](Binding* b) { b->parents[1].byte_size = format::kMaxScalesBytes + 2; },
                  ErrorCode::kLimit},
        WrongCase{"AwqOfBytes", AwqBinding, [](Binding* b) { b->child.dtype = DType::kU8; }},
        WrongCase{"AwqGivenF32", AwqBinding, [](Binding* b) { b->parents[0].dtype = DType::kF32; }},
        WrongCase{"AwqGivenOtherRows", AwqBinding,
                  [](Binding* b) { b->parents[0].row_elems = 32; }},
        WrongCase{"AwqGivenFewWeights", AwqBinding,
                  [](Binding* b) { b->parents[0].byte_size /= 2; }},
        WrongCase{"AwqCutInputs", AwqBinding, [](Binding* b) { b->child.chunk_elems = 62; }},
        WrongCase{"ExpertParamsCut", ExpertBinding, [](Binding* b) { b->params.pop_back(); }},
        WrongCase{"ExpertParamsLong", ExpertBinding, [](Binding* b) { b->params.push_back(B(1)); }},
        WrongCase{"ExpertCutBlock", ExpertBinding, [](Binding* b) { b->params[0] = B(48); }},
        WrongCase{"ExpertNoInputs", ExpertBinding, [](Binding* b) { b->params[0] = B(0); }},
        WrongCase{"ExpertNoOutputs", ExpertBinding, [](Binding* b) { b->params[1] = B(0); }},
        WrongCase{"ExpertManyOutputs", ExpertBinding,
                  [](Binding* b) { b->params = {B(64), B(129), B(128), B(64)}; }},
        WrongCase{"ExpertCut", ExpertBinding, [](Binding* b) { b->params[1] = B(5); }},
        WrongCase{"ExpertOfF16", ExpertBinding, [](Binding* b) { b->child.dtype = DType::kF16; }},
        WrongCase{"ExpertFewCodes", ExpertBinding,
                  [](Binding* b) { b->parents[0].byte_size = 383; }},
        WrongCase{"ExpertFewScales", ExpertBinding,
                  [](Binding* b) { b->parents[1].byte_size = 23; }},
        WrongCase{"ExpertChunksWithinRows", ExpertBinding,
                  [](Binding* b) { b->child.chunk_elems = 4; }},
        WrongCase{"ExpertOfLargeRange", ExpertBinding,
                  [](Binding* b) {
                    b->child = Object(DType::kBF16, 1 << 28, 1 << 28, 1 << 18);
                    b->parents = {Object(DType::kU8, 1 << 27, 1 << 27, 1 << 18),
                                  Object(DType::kU8, 1 << 23, 1 << 23, 1 << 18)};
                    b->params = {B(0x80), B(0x10), B(0x80), B(0x80), B(8)};
                  },
                  ErrorCode::kLimit},
        WrongCase{"ExpertScalesMissing", ExpertBinding,
                  [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"CastParamsEmpty", CastBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{"CastOfUnknown", CastBinding, [](Binding* b) { b->params[0] = B(2); }},
        WrongCase{"CastScalesAsCodes", CastBinding, [](Binding* b) { b->params[0] = B(0); }},
        WrongCase{"CastCodesAsScales", CodesCastBinding, [](Binding* b) { b->params[0] = B(1); }},
        WrongCase{"CastGlobalMissing", CastBinding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"CastGlobalCut", CastBinding,
                  [](Binding* b) { b->parents[1] = Object(DType::kU8, 3, 3, 3); }},
        WrongCase{"CastScalesCut", CastBinding, [](Binding* b) { b->parents[0].byte_size = 23; }},
        WrongCase{"CastCodesCut", CodesCastBinding,
                  [](Binding* b) { b->parents[0].byte_size = 47; }},
        WrongCase{"CastOfWords", CodesCastBinding,
                  [](Binding* b) { b->child.dtype = DType::kU16; }},
        WrongCase{"CastOtherChunks", CodesCastBinding,
                  [](Binding* b) { b->parents[0].chunk_elems = 9; }},
        WrongCase{"NearParamsEmpty", NearBinding, [](Binding* b) { b->params.clear(); }},
        WrongCase{"NearOrderFlag", NearBinding, [](Binding* b) { b->params.back() = B(2); }},
        WrongCase{"NearOrderMissing", NearBinding, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"NearOrderTooMany", NearBinding, [](Binding* b) { b->params.back() = B(0); }},
        WrongCase{"NearOrderCut", NearBinding, [](Binding* b) { b->parents[3].byte_size = 252; }},
        WrongCase{"NearRuleOfTables", NearBinding, [](Binding* b) { b->params[0] = B(3); }},
        WrongCase{"NearWithoutZeros", NearBinding,
                  [](Binding* b) { b->params[2] = B(1), b->parents.pop_back(); }},
        WrongCase{"NearHighFirst", NearBinding, [](Binding* b) { b->params[1] = B(1); }},
        WrongCase{"NearGivenF32", NearBinding,
                  [](Binding* b) { b->parents[0].dtype = DType::kF32; }},
        WrongCase{"NearCutRows", NearBinding,
                  [](Binding* b) {
                    b->child.chunk_elems = 4;
                    b->parents[0].chunk_elems = 32;
                  }}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace qstore::scheme
