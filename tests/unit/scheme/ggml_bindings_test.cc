// SPDX-License-Identifier: Apache-2.0
// What blocks of ggml want of parents and parameters.
#include <gtest/gtest.h>

#include "format/limits.h"
#include "registry/bindings.h"
#include "scheme/ggml/ggml_params.h"

namespace qstore::scheme::ggml {
namespace {

using testing::Binding;
using testing::Object;
using testing::WrongBinding;
using testing::WrongCase;

// 12 rows of 512 weights, four to a chunk.
constexpr uint64_t kColumns = 512;
constexpr uint64_t kRows = 12;

GgmlParams Params(DType parent) {
  GgmlParams params;
  params.parent_dtype = parent;
  params.columns = kColumns;
  return params;
}

scheme::ObjectSpec Rows(DType dtype, uint64_t rows) {
  const uint64_t row = kColumns / DTypeBlock(dtype);
  return Object(dtype, rows * row, row, 4 * row);
}

Binding Given(const GgmlParams& params, DType child, DType parent) {
  return {"ggml-blocks", Rows(child, kRows), {Rows(parent, kRows)}, WriteGgmlParams(params)};
}

Binding Codes() { return Given(Params(DType::kBF16), DType::kQ4K, DType::kBF16); }

Binding Made() {
  GgmlParams params = Params(DType::kBF16);
  params.is_replayed = params.has_importance = true;
  Binding binding = Given(params, DType::kQ4K, DType::kBF16);
  binding.parents.push_back(Object(DType::kF32, 2 * kColumns, kColumns, 2 * kColumns));
  binding.parents.push_back(Object(DType::kF32, 2, 1, 2));
  return binding;
}

Binding MadeOfCalls() {
  GgmlParams params = Params(DType::kBF16);
  params.is_replayed = params.has_importance = params.counts_are_calls = true;
  Binding binding = Given(params, DType::kQ4K, DType::kBF16);
  binding.parents.push_back(Object(DType::kF32, 3 * kColumns, kColumns, 3 * kColumns));
  binding.parents.push_back(Object(DType::kI32, 1, 1, 1));
  return binding;
}

Binding Experts() {
  GgmlParams params = Params(DType::kF16);
  params.is_replayed = true;
  params.matrices = 3;
  Binding binding = Given(params, DType::kQ6K, DType::kF16);
  binding.parents.assign(3, Rows(DType::kF16, kRows / 3));
  return binding;
}

Binding Heads() {
  GgmlParams params = Params(DType::kQ8_0);
  params.head_rows = 6;
  return Given(params, DType::kQ3K, DType::kQ8_0);
}

Binding Transposed() {
  GgmlParams params = Params(DType::kBF16);
  params.is_transposed = true;
  return Given(params, DType::kQ4K, DType::kBF16);
}

Binding Floats() { return Given(Params(DType::kBF16), DType::kF32, DType::kBF16); }

// The parameters of a binding become others.
template <class Change>
std::function<void(Binding*)> With(Change change) {
  return [change](Binding* binding) {
    GgmlParams params = ReadGgmlParams(binding->params).value();
    change(&params);
    binding->params = WriteGgmlParams(params);
  };
}

TEST(GgmlBindings, BindWhatFits) {
  for (const Binding& binding :
       {Codes(), Made(), MadeOfCalls(), Experts(), Heads(), Transposed(), Floats()}) {
    EXPECT_TRUE(binding.Bind().ok()) << binding.Bind().ToString();
  }
}

TEST_P(WrongBinding, IsRefused) { ExpectRefused(); }

INSTANTIATE_TEST_SUITE_P(
    Ggml, WrongBinding,
    ::testing::Values(
        WrongCase{"ParamsMissing", Codes, [](Binding* b) { b->params.pop_back(); }},
        WrongCase{"ParamsMore", Codes, [](Binding* b) { b->params.push_back({}); }},
        WrongCase{"Flags", Codes, [](Binding* b) { b->params[0] = std::byte{32}; }},
        WrongCase{"Via", Codes, [](Binding* b) { b->params[1] = std::byte{3}; }},
        WrongCase{"NoType", Codes, [](Binding* b) { b->params[2] = std::byte{kDTypeCount}; }},
        WrongCase{"WeightsOfOtherType", Codes, With([](auto* p) { p->parent_dtype = DType::kI8; })},
        WrongCase{"WeightsWithoutGrid", Codes,
                  With([](auto* p) { p->parent_dtype = DType::kIq2S; })},
        WrongCase{"NoColumns", Codes, With([](auto* p) { p->columns = 0; })},
        WrongCase{"ManyColumns", Codes, With([](auto* p) { p->columns = UINT64_MAX; })},
        WrongCase{"OddHeads", Heads, With([](auto* p) { p->head_rows = 3; })},
        WrongCase{"LargeHeads", Heads, With([](auto* p) { p->head_rows = uint64_t{1} << 60; })},
        WrongCase{"CutHeads", Heads, With([](auto* p) { p->head_rows = 10; })},
        WrongCase{"HeadsOfMatrices", Experts, With([](auto* p) { p->head_rows = 2; })},
        WrongCase{"TransposedHeads", Heads, With([](auto* p) {
                    p->parent_dtype = DType::kBF16;
                    p->is_transposed = true;
                  })},
        WrongCase{"TransposedMatrices", Experts, With([](auto* p) { p->is_transposed = true; })},
        WrongCase{"TransposedBlocks", Transposed,
                  With([](auto* p) { p->parent_dtype = DType::kQ8_0; })},
        WrongCase{"TransposedOfOtherCount", Transposed,
                  [](Binding* b) { b->parents[0].byte_size -= 2 * kColumns; }},
        WrongCase{"TransposedAndLarge", Transposed,
                  [](Binding* b) {
                    b->child = Object(DType::kF16, (uint64_t{1} << 28) + kColumns, kColumns, 1 << 18);
                    b->parents = {b->child};
                  },
                  ErrorCode::kLimit},
        WrongCase{"NoMatrices", Codes, With([](auto* p) { p->matrices = 0; })},
        WrongCase{"ManyMatrices", Codes,
                  With([](auto* p) { p->matrices = format::kMaxParents - 1; })},
        WrongCase{"MatrixMissing", Experts, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"MatrixOfOtherSize", Experts,
                  [](Binding* b) { b->parents[2].byte_size -= 2 * kColumns; }},
        WrongCase{"MatricesOfFewRows", Experts, With([](auto* p) { p->columns = 6 * kColumns; })},
        WrongCase{"OtherCount", Codes, [](Binding* b) { b->parents[0].byte_size -= kColumns; }},
        WrongCase{"CutElement", Heads, [](Binding* b) { b->parents[0].byte_size -= 1; }},
        WrongCase{"Empty", Codes,
                  [](Binding* b) { b->child.byte_size = b->parents[0].byte_size = 0; }},
        WrongCase{"OfNoFloat", Floats, [](Binding* b) { b->child.dtype = DType::kI32; }},
        WrongCase{"RowsOfCutBlocks", Codes, With([](auto* p) { p->columns = 128; })},
        WrongCase{"RowsOfCutBlocksOfTheParent", Heads,
                  [](Binding* b) {
                    // Q4_K in the parent has blocks of 256, a child of Q4_0 blocks of 32.
                    b->child = Rows(DType::kQ4_0, kRows);
                    b->parents = {Rows(DType::kQ4K, kRows)};
                    GgmlParams params = Params(DType::kQ4K);
                    params.columns = 32;
                    params.head_rows = 6;
                    b->params = WriteGgmlParams(params);
                  }},
        WrongCase{"CutRows", Codes, With([](auto* p) { p->columns = 5 * 256; })},
        WrongCase{"ChunksOfCutRows", Experts, [](Binding* b) { b->child.chunk_elems = 3; }},
        WrongCase{"MadeOfNoKnownType", Experts,
                  [](Binding* b) { b->child = Rows(DType::kIq3S, kRows); }},
        WrongCase{"CodesOfNoKnownType", Codes,
                  [](Binding* b) { b->child = Rows(DType::kIq3S, kRows); }},
        WrongCase{"CodesWithImportance", Made, With([](auto* p) { p->is_replayed = false; })},
        WrongCase{"CountsMissing", Made, [](Binding* b) { b->parents.pop_back(); }},
        WrongCase{"NoCounts", Made, [](Binding* b) { b->parents[2].byte_size = 0; }},
        WrongCase{"CutCount", Made, [](Binding* b) { b->parents[2].byte_size = 7; }},
        WrongCase{"OtherCounts", Made, [](Binding* b) { b->parents[2].byte_size = 12; }},
        WrongCase{"CountsOfCutParts", Made,
                  [](Binding* b) {
                    b->parents[1].byte_size = 5 * 4 * kColumns;
                    b->parents[2].byte_size = 20;
                  }},
        WrongCase{"CutSums", Made, [](Binding* b) { b->parents[1].byte_size += 4; }},
        WrongCase{"CallsWithoutImportance", Codes, With([](auto* p) { p->counts_are_calls = true; })},
        WrongCase{"NoCalls", MadeOfCalls, [](Binding* b) { b->parents[2].byte_size = 0; }},
        WrongCase{"SeveralCalls", MadeOfCalls, [](Binding* b) { b->parents[2].byte_size = 12; }},
        WrongCase{"NoSumsOfCalls", MadeOfCalls, [](Binding* b) { b->parents[1].byte_size = 0; }},
        WrongCase{"CutSumsOfCalls", MadeOfCalls, [](Binding* b) { b->parents[1].byte_size += 4; }},
        WrongCase{"CallsOfCutParts", MadeOfCalls,
                  [](Binding* b) { b->parents[1].byte_size = 5 * 4 * kColumns; }}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace qstore::scheme::ggml
