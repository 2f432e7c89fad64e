// SPDX-License-Identifier: Apache-2.0
// What each scheme wants of parents and parameters.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "format/limits.h"
#include "registry/bindings.h"
#include "registry/given.h"
#include "scheme/registry.h"

namespace qstore::scheme {
namespace {

using testing::Binding;
using testing::NumberOf;
using testing::Object;
using testing::WrongBinding;
using testing::WrongCase;

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
  for (const Binding& binding :
       {Int8Binding(), CastBinding(), FloatsBinding(), IntegersBinding(), GptqCodesBinding()}) {
    EXPECT_TRUE(binding.Bind().ok()) << binding.Bind().ToString();
  }
}

TEST(Schemes, UnknownNumbersAreUnsupported) {
  const Binding binding = Int8Binding();
  EXPECT_EQ(BindScheme(UINT16_MAX, binding.child, binding.parents, {}).status().code(),
            ErrorCode::kUnsupportedFeature);
}

TEST_P(WrongBinding, IsRefused) { ExpectRefused(); }

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
        WrongCase{
            "CodesGivenF32", GptqCodesBinding,
            [](Binding* b) { b->parents[0].dtype = DType::kF32, b->parents[0].byte_size *= 2; }},
        WrongCase{"CodesGivenOtherRows", GptqCodesBinding,
                  [](Binding* b) { b->parents[0].row_elems = 32; }},
        WrongCase{"CodesGivenFewWeights", GptqCodesBinding,
                  [](Binding* b) { b->parents[0].byte_size -= 128; }},
        WrongCase{"CodesGroupsFlag", GptqCodesBinding,
                  [](Binding* b) { b->params[1] = std::byte{2}; }},
        WrongCase{"CodesGroupsMissing", GptqCodesBinding,
                  [](Binding* b) { b->params[1] = std::byte{1}; }},
        WrongCase{"CodesScalesType", GptqCodesBinding,
                  [](Binding* b) { b->params[0] = NumberOf(DType::kI32); }},
        WrongCase{"CodesCutInputs", GptqCodesBinding,
                  [](Binding* b) { b->child.chunk_elems = 128; }},
        WrongCase{"IntegersParentChunks", IntegersBinding,
                  [](Binding* b) { b->parents[0].chunk_elems = 256; }}),
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
