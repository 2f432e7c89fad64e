// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/tensor_names.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <span>
#include <string>

namespace qstore::scheme::ggml {
namespace {

// Names of modules in checkpoints, by what GGUF calls them. From the table of names of llama.cpp
// (MIT), without what stands before them, which many architectures have in common.
struct Row {
  std::string_view gguf;
  std::array<std::string_view, 12> names;
};

constexpr Row kBlockRows[] = {
    {"attn_norm",
     {"input_layernorm", "ln_1", "norm_1", "attention_norm", "norm", "ln1", "operator_norm",
      "pre_attention_layernorm", "attn_norm", "ln_mlp"}},
    {"attn_norm_2", {"ln_attn", "norm2"}},
    {"attn_qkv",
     {"self_attn.qkv_proj", "attn.c_attn", "attn.Wqkv", "self_attention.query_key_value",
      "attention.query_key_value", "mixer.Wqkv", "self_attn.query_key_value", "attn.qkv_proj",
      "linear_attn.in_proj_qkv"}},
    {"attn_q",
     {"self_attn.q_proj", "attention.wq", "attention.self.query", "attention.q_lin", "attn.q_proj",
      "attn.attention.q_proj", "mixer.q_proj"}},
    {"attn_k",
     {"self_attn.k_proj", "attention.wk", "attention.self.key", "attention.k_lin", "attn.k_proj",
      "attn.attention.k_proj", "mixer.k_proj"}},
    {"attn_v",
     {"self_attn.v_proj", "attention.wv", "attention.self.value", "attention.v_lin", "attn.v_proj",
      "attn.attention.v_proj", "mixer.v_proj"}},
    {"attn_output",
     {"self_attn.o_proj", "attention.wo", "attention.output.dense", "self_attn.dense",
      "attn.c_proj", "attn.out_proj", "self_attention.dense", "attention.dense",
      "attention.out_lin", "self_attn.out_proj", "mixer.out_proj", "attn.attention.out_proj"}},
    {"attn_output_norm",
     {"attention.output.LayerNorm", "sa_layer_norm", "norm1", "post_attn_norm"}},
    {"attn_gate", {"linear_attn.in_proj_z", "self_attn.g_proj"}},
    {"post_attention_norm",
     {"post_attention_layernorm", "post_self_attn_layernorm", "linear_attn.norm"}},
    {"attn_sinks", {"self_attn.sinks", "self_attn.attention_sink_bias"}},
    {"attn_q_norm",
     {"self_attn.q_norm", "self_attn.q_layernorm", "attn.q_ln", "attention.query_layernorm",
      "self_attn.query_layernorm"}},
    {"attn_k_norm",
     {"self_attn.k_norm", "self_attn.k_layernorm", "attn.k_ln", "attention.key_layernorm",
      "self_attn.key_layernorm"}},
    {"attn_q_a", {"self_attn.q_a_proj"}},
    {"attn_q_b", {"self_attn.q_b_proj"}},
    {"attn_kv_a_mqa", {"self_attn.kv_a_proj_with_mqa"}},
    {"attn_kv_b", {"self_attn.kv_b_proj"}},
    {"attn_q_a_norm", {"self_attn.q_a_layernorm"}},
    {"attn_kv_a_norm", {"self_attn.kv_a_layernorm"}},
    {"ffn_norm",
     {"post_attention_layernorm", "pre_feedforward_layernorm", "ln_2", "norm_2", "ffn_norm", "ln2",
      "mlp_norm", "pre_mlp_layernorm"}},
    {"post_ffw_norm", {"post_feedforward_layernorm", "post_mlp_layernorm"}},
    {"layer_output_norm", {"output.LayerNorm", "output_layer_norm", "norm2", "final_layernorm"}},
    {"ffn_gate_inp",
     {"mlp.gate", "block_sparse_moe.gate", "mlp.router", "feed_forward.router",
      "feed_forward.gate"}},
    {"ffn_gate_inp_shexp", {"mlp.shared_expert_gate"}},
    {"exp_probs_b", {"mlp.gate.e_score_correction", "mlp.expert_bias"}},
    {"ffn_gate",
     {"mlp.gate_proj", "feed_forward.w1", "mlp.w2", "mlp.fc12", "feed_forward.gate_proj",
      "mlp.linear_1"}},
    {"ffn_up",
     {"mlp.up_proj", "feed_forward.w3", "intermediate.dense", "mlp.c_fc", "mlp.dense_h_to_4h",
      "mlp.fc1", "mlp.gate_up_proj", "mlp.Wi", "ffn.lin1", "ffn.up_proj", "mlp.w1", "mlp.fc_in"}},
    {"ffn_down",
     {"mlp.down_proj", "feed_forward.w2", "output.dense", "mlp.c_proj", "mlp.dense_4h_to_h",
      "mlp.fc2", "mlp.Wo", "ffn.lin2", "ffn.down_proj", "mlp.fc_out", "mlp.wo"}},
    {"ffn_gate_exps", {"mlp.experts.gate_proj", "feed_forward.experts.gate_proj"}},
    {"ffn_up_exps", {"mlp.experts.up_proj", "feed_forward.experts.up_proj"}},
    {"ffn_down_exps",
     {"mlp.experts.down_proj", "feed_forward.experts.down_proj", "block_sparse_moe.output_linear"}},
    {"ffn_gate_shexp",
     {"mlp.shared_expert.gate_proj", "mlp.shared_experts.gate_proj",
      "feed_forward.shared_expert.gate_proj", "mlp.shared_mlp.gate_proj"}},
    {"ffn_up_shexp",
     {"mlp.shared_expert.up_proj", "mlp.shared_experts.up_proj",
      "feed_forward.shared_expert.up_proj", "mlp.shared_mlp.up_proj"}},
    {"ffn_down_shexp",
     {"mlp.shared_expert.down_proj", "mlp.shared_experts.down_proj",
      "feed_forward.shared_expert.down_proj", "mlp.shared_mlp.down_proj"}},
    {"ssm_in", {"in_proj", "mixer.in_proj", "mamba.in_proj", "linear_attn.in_proj_qkvz"}},
    {"ssm_conv1d", {"conv1d", "mixer.conv1d", "mamba.conv1d", "linear_attn.conv1d"}},
    {"ssm_x", {"x_proj", "mixer.x_proj", "mamba.x_proj"}},
    {"ssm_dt", {"dt_proj", "mixer.dt_proj", "mamba.dt_proj", "linear_attn.dt_proj"}},
    {"ssm_d", {"D", "mixer.D", "mamba.D"}},
    {"ssm_norm", {"mixer.norm", "mamba.norm", "linear_attn.norm"}},
    {"ssm_out", {"out_proj", "mixer.out_proj", "mamba.out_proj", "linear_attn.out_proj"}},
};

constexpr Row kTopRows[] = {
    {"token_embd",
     {"embed_tokens", "embeddings.word_embeddings", "wte", "word_embeddings", "tok_embeddings",
      "embed_in", "embeddings.tok_embeddings", "embedding", "embeddings"}},
    {"token_types", {"embeddings.token_type_embeddings"}},
    {"token_embd_norm", {"embeddings.LayerNorm", "emb_ln", "word_embeddings_layernorm"}},
    {"position_embd", {"embeddings.position_embeddings", "wpe", "embed_positions"}},
    // Where both are one tensor, a file may have it under this name alone.
    {"output", {"lm_head", "embed_out", "output", "embed_tokens", "wte", "output_layer"}},
    {"output_norm",
     {"norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f", "encoder.final_layernorm"}},
    {"cls", {"classifier.dense", "pre_classifier", "pooler.dense"}},
    {"cls.output", {"classifier", "score", "classifier.out_proj"}},
};

// Those of single experts, with a star for their number.
constexpr Row kExpertRows[] = {
    {"ffn_gate_exps",
     {"mlp.experts.*.gate_proj", "block_sparse_moe.experts.*.w1", "feed_forward.experts.*.w1",
      "feed_forward.experts.*.gate_proj"}},
    {"ffn_up_exps",
     {"mlp.experts.*.up_proj", "block_sparse_moe.experts.*.w3", "feed_forward.experts.*.w3",
      "feed_forward.experts.*.up_proj"}},
    {"ffn_down_exps",
     {"mlp.experts.*.down_proj", "block_sparse_moe.experts.*.w2", "feed_forward.experts.*.w2",
      "feed_forward.experts.*.down_proj"}},
};

// What stands before the number of a block, and before other names.
constexpr std::string_view kBlockPrefixes[] = {"model.layers.",
                                               "layers.",
                                               "encoder.layer.",
                                               "transformer.h.",
                                               "h.",
                                               "gpt_neox.layers.",
                                               "model.language_model.layers.",
                                               "language_model.model.layers.",
                                               "bert.encoder.layer.",
                                               "roberta.encoder.layer.",
                                               "encoder.layers.",
                                               "transformer.layer.",
                                               "distilbert.transformer.layer.",
                                               "transformer.blocks.",
                                               "transformer.layers.",
                                               "backbone.layers.",
                                               "model.layers.layers.",
                                               "model.decoder.layers.",
                                               "thinker.model.layers."};
constexpr std::string_view kTopPrefixes[] = {"model.",
                                             "",
                                             "transformer.",
                                             "bert.",
                                             "roberta.",
                                             "distilbert.",
                                             "gpt_neox.",
                                             "backbone.",
                                             "model.language_model.",
                                             "language_model.model.",
                                             "language_model.",
                                             "thinker.model.",
                                             "thinker."};

struct BlockName {
  std::string_view number;
  std::string_view part;
  std::string_view tensor;  // "weight".
};

std::optional<BlockName> ReadBlockName(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return std::nullopt;
  name.remove_prefix(kBlock.size());
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  BlockName read;
  read.number = name.substr(0, dot);
  if (!std::all_of(read.number.begin(), read.number.end(),
                   [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const std::string_view rest = name.substr(dot + 1);
  const size_t last = rest.rfind('.');
  read.part = rest.substr(0, last);
  if (last != std::string_view::npos) read.tensor = rest.substr(last + 1);
  return read;
}

void FindAll(std::span<const std::string_view> prefixes, std::string_view number, const Row& row,
             std::string_view tensor, const TensorTable& other, std::vector<size_t>* found) {
  for (const std::string_view name : row.names) {
    if (name.empty()) break;
    for (const std::string_view prefix : prefixes) {
      std::string full(prefix);
      if (!number.empty()) full.append(number).push_back('.');
      full.append(name);
      if (!tensor.empty()) full.append(".").append(tensor);
      const auto at = other.Find(full);
      if (at && std::find(found->begin(), found->end(), *at) == found->end()) found->push_back(*at);
    }
  }
}

const Row* RowOf(std::span<const Row> rows, std::string_view gguf) {
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const Row& each) { return each.gguf == gguf; });
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace

std::vector<size_t> TensorsLike(std::string_view name, const TensorTable& other) {
  std::vector<size_t> found;
  if (const auto equal = other.Find(name)) found.push_back(*equal);
  if (const auto block = ReadBlockName(name)) {
    if (const Row* row = RowOf(kBlockRows, block->part)) {
      FindAll(kBlockPrefixes, block->number, *row, block->tensor, other, &found);
      // Parameters without a module's tensors: "self_attn.sinks".
      if (block->tensor == "weight") {
        FindAll(kBlockPrefixes, block->number, *row, {}, other, &found);
      }
    }
    return found;
  }
  const size_t last = name.rfind('.');
  if (last == std::string_view::npos) return found;
  if (const Row* row = RowOf(kTopRows, name.substr(0, last))) {
    FindAll(kTopPrefixes, {}, *row, name.substr(last + 1), other, &found);
  }
  return found;
}

std::vector<size_t> ExpertsLike(std::string_view name, uint64_t count, const TensorTable& other) {
  const auto block = ReadBlockName(name);
  const Row* row = block ? RowOf(kExpertRows, block->part) : nullptr;
  if (row == nullptr || count > other.size()) return {};
  for (const std::string_view prefix : kBlockPrefixes) {
    for (const std::string_view pattern : row->names) {
      if (pattern.empty()) break;
      const size_t star = pattern.find('*');
      std::vector<size_t> found;
      for (uint64_t expert = 0; expert < count; ++expert) {
        std::string full(prefix);
        full.append(block->number).append(".").append(pattern.substr(0, star));
        full.append(std::to_string(expert)).append(pattern.substr(star + 1));
        const auto at = other.Find(full.append(".").append(block->tensor));
        if (!at) break;
        found.push_back(*at);
      }
      if (found.size() == count && count > 0) return found;
    }
  }
  return {};
}

bool IsLikeConv1d(std::string_view name) {
  constexpr std::string_view kNames[] = {".c_attn.weight", ".c_proj.weight", ".c_fc.weight"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [name](std::string_view end) { return name.ends_with(end); });
}

std::string_view BlockPartOf(std::string_view name) {
  const auto block = ReadBlockName(name);
  return block ? block->part : std::string_view();
}

}  // namespace qstore::scheme::ggml
