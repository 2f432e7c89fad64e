// SPDX-License-Identifier: Apache-2.0
#include "make/linear_rule.h"

#include <gtest/gtest.h>

namespace qstore::make {
namespace {

// Names as transformers saves them.
TEST(LinearRule, LinearLayersOfKnownModels) {
  for (const char* module : {"model.layers.0.self_attn.q_proj",
                             "model.layers.0.mlp.gate_proj",
                             "model.layers.3.mlp.gate",
                             "encoder.layer.0.attention.self.query",
                             "encoder.layer.0.attention.output.dense",
                             "encoder.layer.0.output.dense",
                             "pooler.dense",
                             "bert.pooler.dense",
                             "classifier",
                             "score",
                             "cls.predictions.transform.dense",
                             "lm_head.dense",
                             "model.decoder.layers.0.fc1",
                             "encoder.block.0.layer.0.SelfAttention.q",
                             "decoder.block.0.layer.2.DenseReluDense.wi_0",
                             "gpt_neox.layers.0.attention.query_key_value",
                             "transformer.h.0.mlp.dense_h_to_4h",
                             "encoder.embedding_hidden_mapping_in",
                             "visual_projection",
                             "vision_model.head.mlp.fc1"}) {
    EXPECT_TRUE(IsLinearModule(module)) << module;
  }
}

TEST(LinearRule, EmbeddingsAndOutputHeads) {
  for (const char* module : {"model.embed_tokens",
                             "embeddings.word_embeddings",
                             "embeddings.position_embeddings",
                             "bert.embeddings.token_type_embeddings",
                             "transformer.wte",
                             "transformer.wpe",
                             "shared",
                             "model.decoder.embed_positions",
                             "gpt_neox.embed_in",
                             "embed_out",
                             "lm_head",
                             "model.language_model.lm_head",
                             "cls.predictions.decoder",
                             "lm_head.decoder",
                             "output",
                             "tok_embeddings",
                             "transformer.output_layer",
                             "text_model.embeddings.token_embedding",
                             "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
                             "output_projection"}) {
    EXPECT_FALSE(IsLinearModule(module)) << module;
  }
}

io::SafetensorsTensor Tensor(const char* name, DType dtype, std::vector<uint64_t> shape,
                             uint64_t bytes = 8) {
  return {name, dtype, std::move(shape), 0, bytes};
}

TEST(LinearRule, OnlyFloatMatricesWithElements) {
  EXPECT_TRUE(IsWeightMatrix(Tensor("a.weight", DType::kBF16, {2, 2})));
  EXPECT_TRUE(IsWeightMatrix(Tensor("a.weight", DType::kF64, {1, 1})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.weight", DType::kI8, {2, 4})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.weight", DType::kF8E4M3, {2, 4})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.weight", DType::kF32, {2})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.weight", DType::kF32, {2, 1, 1})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.weight", DType::kF32, {0, 4}, 0)));
  EXPECT_FALSE(IsWeightMatrix(Tensor("a.bias", DType::kF32, {1, 2})));
  EXPECT_FALSE(IsWeightMatrix(Tensor(".weight", DType::kF32, {1, 2})));
  EXPECT_FALSE(IsWeightMatrix(Tensor("weight", DType::kF32, {1, 2})));
}

TEST(LinearRule, PatternsAddAndTakeAway) {
  const LinearChoice choice{{"*.wte.weight", "x.*"}, {"*.q.weight", "x.embed_a.weight"}};
  EXPECT_TRUE(choice.Chooses(Tensor("m.k.weight", DType::kBF16, {2, 2})));
  EXPECT_FALSE(choice.Chooses(Tensor("m.q.weight", DType::kBF16, {2, 2})));
  EXPECT_TRUE(choice.Chooses(Tensor("m.wte.weight", DType::kBF16, {2, 2})));
  EXPECT_FALSE(choice.Chooses(Tensor("m.wpe.weight", DType::kBF16, {2, 2})));
  EXPECT_TRUE(choice.Chooses(Tensor("x.embed_b.weight", DType::kBF16, {2, 2})));
  EXPECT_FALSE(choice.Chooses(Tensor("x.embed_a.weight", DType::kBF16, {2, 2})));
  EXPECT_FALSE(choice.Chooses(Tensor("x.bias", DType::kBF16, {2, 2})));
}

}  // namespace
}  // namespace qstore::make
