// SPDX-License-Identifier: Apache-2.0
// Which tensors blocks may be made of, by names, types and shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "registry/table.h"
#include "scheme/ggml/ggml.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/ggml/tensor_names.h"

namespace qstore::scheme::ggml {
namespace {

using Shape = std::vector<uint64_t>;
using testing::Table;

struct NamePair {
  const char* gguf;
  const char* checkpoint;
};

void PrintTo(const NamePair& pair, std::ostream* out) {
  *out << pair.gguf << " of " << pair.checkpoint;
}

class TensorNames : public ::testing::TestWithParam<NamePair> {};

TEST_P(TensorNames, AreFound) {
  const Table other({"something.else", GetParam().checkpoint, "model.layers.99.x.weight"});
  EXPECT_EQ(TensorsLike(GetParam().gguf, other), std::vector<size_t>{1});
}

constexpr NamePair kPairs[] = {
    // Llama, Qwen, Mistral.
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output.weight", "lm_head.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"},
    {"blk.31.attn_k.weight", "model.layers.31.self_attn.k_proj.weight"},
    {"blk.7.attn_v.bias", "model.layers.7.self_attn.v_proj.bias"},
    {"blk.7.attn_output.weight", "model.layers.7.self_attn.o_proj.weight"},
    {"blk.7.ffn_gate.weight", "model.layers.7.mlp.gate_proj.weight"},
    {"blk.7.ffn_down.weight", "model.layers.7.mlp.down_proj.weight"},
    {"blk.7.attn_norm.weight", "model.layers.7.input_layernorm.weight"},
    {"blk.7.ffn_norm.weight", "model.layers.7.post_attention_layernorm.weight"},
    {"blk.7.attn_q_norm.weight", "model.layers.7.self_attn.q_norm.weight"},
    // Gemma.
    {"blk.2.post_attention_norm.weight", "model.layers.2.post_attention_layernorm.weight"},
    {"blk.2.ffn_norm.weight", "model.layers.2.pre_feedforward_layernorm.weight"},
    {"blk.2.post_ffw_norm.weight", "model.layers.2.post_feedforward_layernorm.weight"},
    {"blk.2.ffn_up.weight", "model.language_model.layers.2.mlp.up_proj.weight"},
    // BERT.
    {"token_embd.weight", "embeddings.word_embeddings.weight"},
    {"token_types.weight", "bert.embeddings.token_type_embeddings.weight"},
    {"position_embd.weight", "embeddings.position_embeddings.weight"},
    {"token_embd_norm.bias", "embeddings.LayerNorm.bias"},
    {"blk.5.attn_q.bias", "encoder.layer.5.attention.self.query.bias"},
    {"blk.5.attn_output.weight", "bert.encoder.layer.5.attention.output.dense.weight"},
    {"blk.5.attn_output_norm.weight", "encoder.layer.5.attention.output.LayerNorm.weight"},
    {"blk.5.ffn_up.weight", "encoder.layer.5.intermediate.dense.weight"},
    {"blk.5.ffn_down.weight", "encoder.layer.5.output.dense.weight"},
    {"blk.5.layer_output_norm.weight", "encoder.layer.5.output.LayerNorm.weight"},
    // GPT-2.
    {"token_embd.weight", "transformer.wte.weight"},
    {"position_embd.weight", "wpe.weight"},
    {"blk.11.attn_qkv.weight", "transformer.h.11.attn.c_attn.weight"},
    {"blk.11.attn_qkv.bias", "h.11.attn.c_attn.bias"},
    {"blk.11.attn_output.weight", "transformer.h.11.attn.c_proj.weight"},
    {"blk.11.ffn_up.weight", "h.11.mlp.c_fc.weight"},
    {"blk.11.ffn_down.weight", "h.11.mlp.c_proj.weight"},
    {"output_norm.bias", "transformer.ln_f.bias"},
    // Experts' routers, and parameters that are no module's tensors.
    {"blk.3.ffn_gate_inp.weight", "model.layers.3.block_sparse_moe.gate.weight"},
    {"blk.3.ffn_up_shexp.weight", "model.layers.3.mlp.shared_expert.up_proj.weight"},
    {"blk.3.attn_sinks.weight", "model.layers.3.self_attn.sinks"},
    // Equal names.
    {"any.name", "any.name"},
};
INSTANTIATE_TEST_SUITE_P(Pairs, TensorNames, ::testing::ValuesIn(kPairs));

TEST(TensorNames, OthersAreNot) {
  const Table other({"model.layers.1.self_attn.q_proj.weight", "model.norm.weight", "h.1.weight"});
  for (const char* name :
       {"", ".", "blk.", "blk.1", "blk..attn_q.weight", "blk.x.attn_q.weight", "blk.1.",
        "blk.1.attn_k.weight", "blk.2.attn_q.weight", "blk.1.attn_q.bias", "weight", "norm"}) {
    EXPECT_TRUE(TensorsLike(name, other).empty()) << name;
  }
  EXPECT_EQ(BlockPartOf("blk.7.attn_q.weight"), "attn_q");
  EXPECT_EQ(BlockPartOf("output.weight"), "");
}

TEST(TensorNames, ExpertsAreFoundInOrder) {
  for (const auto& [part, name] : std::vector<std::pair<std::string, std::string>>{
           {"ffn_gate_exps", "block_sparse_moe.experts.%.w1"},
           {"ffn_down_exps", "block_sparse_moe.experts.%.w2"},
           {"ffn_up_exps", "mlp.experts.%.up_proj"}}) {
    Table other;
    for (int e = 11; e >= 0; --e) {
      std::string full = "model.layers.4." + name + ".weight";
      full.replace(full.find('%'), 1, std::to_string(e));
      other.Add(full, DType::kBF16, {8, 256});
    }
    const std::string gguf = "blk.4." + part + ".weight";
    const auto found = ExpertsLike(gguf, 12, other);
    ASSERT_EQ(found.size(), 12u) << gguf;
    for (size_t e = 0; e < 12; ++e) EXPECT_EQ(found[e], 11 - e);
    EXPECT_TRUE(ExpertsLike(gguf, 13, other).empty());
    EXPECT_TRUE(ExpertsLike(gguf, uint64_t{1} << 60, other).empty());
  }
}

std::vector<Edge> EdgesTo(const Table& own, const Table& other) {
  std::vector<Edge> edges;
  Ggml().Detect(own.tensor(0), own, other, &edges);
  return edges;
}

GgmlParams ParamsOf(const Edge& edge) { return ReadGgmlParams(edge.params).value(); }

bool Has(const std::vector<Edge>& edges, const std::function<bool(const GgmlParams&)>& is_wanted) {
  return std::any_of(edges.begin(), edges.end(),
                     [&](const Edge& edge) { return is_wanted(ParamsOf(edge)); });
}

TEST(GgmlEdges, BlocksAreMadeAgainOrTheirScalesStored) {
  Table own, other;
  own.Add("blk.1.ffn_up.weight", DType::kQ4K, {64, 256});
  other.Add("model.layers.1.mlp.up_proj.weight", DType::kBF16, {64, 256});
  const auto edges = EdgesTo(own, other);
  ASSERT_EQ(edges.size(), 3u);
  EXPECT_TRUE(ParamsOf(edges[0]).is_replayed);
  EXPECT_EQ(edges[0].from_level, Level::kMax) << "searches take long to decode";
  EXPECT_FALSE(ParamsOf(edges[2]).is_replayed);
  EXPECT_EQ(edges[2].from_level, Level::kFast);
  own = Table();
  own.Add("blk.1.ffn_up.weight", DType::kQ8_0, {64, 256});
  for (const Edge& edge : EdgesTo(own, other)) {
    EXPECT_EQ(edge.from_level, Level::kFast);
    EXPECT_FALSE(edge.is_fallback);
    EXPECT_EQ(ParamsOf(edge).columns, 256u);
  }
}

TEST(GgmlEdges, WeightsOf32BitsMayHaveHad16) {
  Table own, other;
  own.Add("blk.1.ffn_up.weight", DType::kQ4K, {64, 256});
  other.Add("model.layers.1.mlp.up_proj.weight", DType::kF32, {64, 256});
  const auto edges = EdgesTo(own, other);
  for (const bool is_replayed : {false, true}) {
    for (const Via via : {Via::kNone, Via::kF16, Via::kBF16}) {
      EXPECT_TRUE(
          Has(edges, [&](const auto& p) { return p.is_replayed == is_replayed && p.via == via; }));
    }
  }
}

TEST(GgmlEdges, BlocksOfMoreBitsAreAFallback) {
  Table own, other;
  own.Add("w", DType::kQ4K, {64, 256});
  other.Add("w", DType::kQ8_0, {64, 256});
  const auto edges = EdgesTo(own, other);
  ASSERT_FALSE(edges.empty());
  for (const Edge& edge : edges) EXPECT_TRUE(edge.is_fallback);
  EXPECT_TRUE(EdgesTo(other, own).empty()) << "what has lost less does not follow";
}

TEST(GgmlEdges, RowsOfHeadsMayHaveChangedPlaces) {
  Table own, other;
  own.Add("blk.0.attn_k.weight", DType::kQ8_0, {64, 256});
  other.Add("model.layers.0.self_attn.k_proj.weight", DType::kBF16, {64, 256});
  EXPECT_TRUE(Has(EdgesTo(own, other), [](const auto& p) { return p.head_rows == 64; }));
  own.numbers = {{"attention.head_count", 2}, {"attention.head_count_kv", 4}};
  EXPECT_TRUE(Has(EdgesTo(own, other), [](const auto& p) { return p.head_rows == 16; }));
  EXPECT_FALSE(Has(EdgesTo(own, other), [](const auto& p) { return p.head_rows == 64; }));
  own.numbers = {{"attention.head_count_kv", 0}};
  EXPECT_FALSE(Has(EdgesTo(own, other), [](const auto& p) { return p.head_rows != 0; }));
}

bool IsTransposed(const GgmlParams& params) { return params.is_transposed; }

TEST(GgmlEdges, MatricesOfReversedShapeAreTransposed) {
  for (const DType type : {DType::kQ4K, DType::kQ8_0, DType::kBF16, DType::kF16}) {
    Table own, other;
    own.Add("blk.1.ffn_up.weight", type, {1024, 256});
    other.Add("transformer.h.1.mlp.c_fc.weight", DType::kBF16, {256, 1024});
    const auto edges = EdgesTo(own, other);
    ASSERT_FALSE(edges.empty());
    for (const Edge& edge : edges) {
      EXPECT_TRUE(IsTransposed(ParamsOf(edge)));
      EXPECT_EQ(ParamsOf(edge).columns, 256u);
    }
  }
}

TEST(GgmlEdges, SquareMatricesMayLieBothWaysByTheirNames) {
  for (const bool may_be : {true, false}) {
    Table own, other;
    own.Add("blk.1.attn_output.weight", DType::kQ8_0, {256, 256});
    other.Add(may_be ? "h.1.attn.c_proj.weight" : "model.layers.1.self_attn.o_proj.weight",
              DType::kF32, {256, 256});
    const auto edges = EdgesTo(own, other);
    EXPECT_FALSE(IsTransposed(ParamsOf(edges.at(0))));
    EXPECT_EQ(Has(edges, IsTransposed), may_be);
  }
}

TEST(GgmlEdges, NothingElseIsTransposed) {
  const auto is_transposed = [](Shape own_shape, Shape shape, DType type = DType::kF16) {
    Table own, other;
    own.Add("blk.1.ffn_down.weight", DType::kQ4_0, std::move(own_shape));
    other.Add("h.1.mlp.c_proj.weight", type, std::move(shape));
    return Has(EdgesTo(own, other), IsTransposed);
  };
  EXPECT_TRUE(is_transposed({32, 256}, {256, 32}));
  EXPECT_FALSE(is_transposed({32, 256}, {32, 256}));
  EXPECT_FALSE(is_transposed({32, 256}, {256, 64}));
  EXPECT_FALSE(is_transposed({32, 256}, {8192}));
  EXPECT_FALSE(is_transposed({1, 256}, {256, 1}));
  EXPECT_FALSE(is_transposed({2, 32, 256}, {256, 32, 2}));
  EXPECT_FALSE(is_transposed({32, 256}, {256, 32}, DType::kI16));
  EXPECT_FALSE(is_transposed({32, 256}, {256, 32}, DType::kQ8_0)) << "blocks lie by rows";
}

TEST(GgmlEdges, NormsMayHaveOneAdded) {
  Table own, other;
  own.Add("output_norm.weight", DType::kF32, {256});
  other.Add("model.norm.weight", DType::kBF16, {256});
  EXPECT_TRUE(Has(EdgesTo(own, other), [](const auto& p) { return p.plus_one; }));
  EXPECT_TRUE(Has(EdgesTo(own, other), [](const auto& p) { return !p.plus_one; }));
}

TEST(GgmlEdges, ExpertsFollowFromAMatrixEach) {
  Table own, other;
  own.Add("blk.0.ffn_up_exps.weight", DType::kQ6K, {2, 64, 256});
  other.Add("model.layers.0.mlp.experts.1.up_proj.weight", DType::kF16, {64, 256});
  other.Add("model.layers.0.mlp.experts.0.up_proj.weight", DType::kF16, {64, 256});
  const auto edges = EdgesTo(own, other);
  ASSERT_FALSE(edges.empty());
  EXPECT_EQ(ParamsOf(edges[0]).matrices, 2u);
  ASSERT_EQ(edges[0].parents.size(), 2u);
  EXPECT_EQ(edges[0].parents[0].tensor, 1u);
}

TEST(GgmlEdges, AFileOfImportanceIsASide) {
  Table own, other, side;
  own.Add("blk.0.ffn_up.weight", DType::kQ4K, {64, 256});
  other.Add("model.layers.0.mlp.up_proj.weight", DType::kBF16, {64, 256});
  EXPECT_FALSE(Ggml().IsSide(other));
  side.Add("blk.0.ffn_up.weight.in_sum2", DType::kF32, {1, 256});
  side.Add("blk.0.ffn_up.weight.counts", DType::kF32, {1, 1});
  EXPECT_TRUE(Ggml().IsSide(side));
  std::vector<Edge> edges;
  Ggml().DetectWith(own.tensor(0), own, other, side, &edges);
  ASSERT_FALSE(edges.empty());
  for (const Edge& edge : edges) {
    EXPECT_TRUE(ParamsOf(edge).has_importance);
    ASSERT_EQ(edge.parents.size(), 3u);
    EXPECT_TRUE(edge.parents[1].is_side && edge.parents[2].is_side);
    EXPECT_EQ(edge.from_level, Level::kMax);
  }
  edges.clear();
  Table q8;
  q8.Add("blk.0.ffn_up.weight", DType::kQ8_0, {64, 256});
  Ggml().DetectWith(q8.tensor(0), q8, other, side, &edges);
  EXPECT_TRUE(edges.empty()) << "importance changes nothing of Q8_0";
}

TEST(GgmlEdges, SoIsOneOfTheOlderForm) {
  Table own, other, side;
  own.Add("blk.0.ffn_up.weight", DType::kQ4K, {64, 256});
  other.Add("model.layers.0.mlp.up_proj.weight", DType::kBF16, {64, 256});
  side.Add("blk.0.ffn_up.weight.values", DType::kF32, {256});
  EXPECT_FALSE(Ggml().IsSide(side));
  side.Add("blk.0.ffn_up.weight.calls", DType::kI32, {1});
  EXPECT_TRUE(Ggml().IsSide(side));
  const auto edges_with = [&](const Table& given) {
    std::vector<Edge> edges;
    Ggml().DetectWith(own.tensor(0), own, other, given, &edges);
    return edges;
  };
  const auto edges = edges_with(side);
  ASSERT_FALSE(edges.empty());
  for (const Edge& edge : edges) {
    EXPECT_TRUE(ParamsOf(edge).has_importance && ParamsOf(edge).counts_are_calls);
    ASSERT_EQ(edge.parents.size(), 3u);
    EXPECT_EQ(edge.parents[1].tensor, 0u);
    EXPECT_EQ(edge.parents[2].tensor, 1u);
  }
  // Where both forms are in one variant, the newer one counts.
  side.Add("blk.0.ffn_up.weight.in_sum2", DType::kF32, {1, 256});
  side.Add("blk.0.ffn_up.weight.counts", DType::kF32, {1, 1});
  for (const Edge& edge : edges_with(side)) EXPECT_FALSE(ParamsOf(edge).counts_are_calls);
  Table floats;
  floats.Add("blk.0.ffn_up.weight.values", DType::kF32, {256});
  floats.Add("blk.0.ffn_up.weight.calls", DType::kF32, {1});
  EXPECT_TRUE(edges_with(floats).empty());
}

}  // namespace
}  // namespace qstore::scheme::ggml
