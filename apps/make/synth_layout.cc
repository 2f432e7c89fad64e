// SPDX-License-Identifier: Apache-2.0
#include "make/synth_layout.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"
#include "io/json.h"
#include "io/safetensors_index.h"

namespace qstore::make {
namespace {

constexpr uint64_t kMaxDimension = uint64_t{1} << 32;
constexpr uint64_t kMaxTensors = uint64_t{1} << 20;

bool IsFraction(double x, double from, double to) { return x >= from && x <= to; }

Status CheckLaw(const SynthOptions& o) {
  if (o.dtype != DType::kBF16 && o.dtype != DType::kF16 && o.dtype != DType::kF32) {
    return InvalidArgument("synth: the dtype must be BF16, F16 or F32");
  }
  if (!IsFraction(o.deviation, 0, 1e6) || !IsFraction(o.row_spread, 0, 10) ||
      !IsFraction(o.column_spread, 0, 10)) {
    return InvalidArgument("synth: deviation or spread out of range");
  }
  if (o.student_t != 0 && !IsFraction(o.student_t, 2, 1e6)) {
    return InvalidArgument("synth: Student's t needs 2 or more degrees of freedom");
  }
  if (!IsFraction(o.outlier_columns, 0, 1)) {
    return InvalidArgument("synth: outlier columns are a part from 0 to 1");
  }
  if (o.shard_bytes == 0) return InvalidArgument("synth: shards of no bytes");
  return {};
}

uint64_t CountFor(uint64_t bytes, uint64_t each) {
  return std::max<uint64_t>(1, each == 0 ? 1 : (bytes + each / 2) / each);
}

uint64_t LayerWeights(const SynthOptions& o) {
  const uint64_t kv = o.hidden % 256 == 0 ? o.hidden / 4 : o.hidden;
  return 2 * o.hidden * o.hidden + 2 * kv * o.hidden + 3 * o.intermediate * o.hidden + 2 * o.hidden;
}

Status ChooseDimensions(SynthOptions* o) {
  for (const uint64_t dimension : {o->rows, o->columns, o->hidden, o->intermediate, o->vocab}) {
    if (dimension >= kMaxDimension) return InvalidArgument("synth: a dimension above 2^32 - 1");
  }
  const uint64_t element = DTypeBits(o->dtype) / 8;
  if (o->rows != 0 || o->columns != 0) {
    if (o->rows == 0 || o->columns == 0 || o->layers != 0 || o->hidden != 0) {
      return InvalidArgument("synth: give either rows and columns or layers and hidden");
    }
    if (o->rows > (uint64_t{1} << 60) / o->columns) return InvalidArgument("synth: too large");
    if (o->count == 0) {
      o->count = o->size_bytes == 0 ? 1 : CountFor(o->size_bytes, o->rows * o->columns * element);
    }
    return o->count <= kMaxTensors ? Status() : InvalidArgument("synth: too many matrices");
  }
  if (o->count != 0) return InvalidArgument("synth: a count needs rows and columns");
  if (o->hidden == 0) {
    o->hidden = o->size_bytes > 8'000'000'000 ? 4096 : o->size_bytes > 1'000'000'000 ? 2048 : 1024;
  }
  if (o->hidden > 1 << 20) return InvalidArgument("synth: hidden above 2^20");
  if (o->intermediate == 0) o->intermediate = (o->hidden * 8 / 3 + 255) / 256 * 256;
  if (o->vocab == 0) o->vocab = 32000;
  if (o->layers == 0) {
    const uint64_t embedding = o->vocab * o->hidden * element;
    o->layers = o->size_bytes == 0 ? 4
                                   : CountFor(o->size_bytes - std::min(o->size_bytes, embedding),
                                              LayerWeights(*o) * element);
  }
  return o->layers <= kMaxTensors / 16 ? Status() : InvalidArgument("synth: too many layers");
}

io::SafetensorsTensor Tensor(std::string name, DType dtype, std::vector<uint64_t> shape) {
  io::SafetensorsTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

std::vector<io::SafetensorsTensor> ListTensors(const SynthOptions& o) {
  std::vector<io::SafetensorsTensor> tensors;
  const auto add = [&](std::string name, std::vector<uint64_t> shape) {
    tensors.push_back(Tensor(std::move(name), o.dtype, std::move(shape)));
  };
  for (uint64_t i = 0; i < o.count; ++i) {
    add("layers." + std::to_string(i) + ".linear.weight", {o.rows, o.columns});
  }
  if (o.count != 0) return tensors;
  const uint64_t kv = o.hidden % 256 == 0 ? o.hidden / 4 : o.hidden;
  add("model.embed_tokens.weight", {o.vocab, o.hidden});
  for (uint64_t i = 0; i < o.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    add(layer + "self_attn.q_proj.weight", {o.hidden, o.hidden});
    add(layer + "self_attn.k_proj.weight", {kv, o.hidden});
    add(layer + "self_attn.v_proj.weight", {kv, o.hidden});
    add(layer + "self_attn.o_proj.weight", {o.hidden, o.hidden});
    add(layer + "mlp.gate_proj.weight", {o.intermediate, o.hidden});
    add(layer + "mlp.up_proj.weight", {o.intermediate, o.hidden});
    add(layer + "mlp.down_proj.weight", {o.hidden, o.intermediate});
    add(layer + "input_layernorm.weight", {o.hidden});
    add(layer + "post_attention_layernorm.weight", {o.hidden});
  }
  add("model.norm.weight", {o.hidden});
  return tensors;
}

std::string ConfigJson(const SynthOptions& o) {
  const char* dtype = o.dtype == DType::kBF16  ? "bfloat16"
                      : o.dtype == DType::kF16 ? "float16"
                                               : "float32";
  const auto number = [](uint64_t n) { return std::to_string(n); };
  if (o.count != 0) {
    return "{\n  \"model_type\": \"synthetic\",\n  \"torch_dtype\": \"" + std::string(dtype) +
           "\"\n}\n";
  }
  const uint64_t head = o.hidden % 256 == 0 ? 64 : o.hidden;
  const uint64_t heads = o.hidden / head;
  return "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n"
         "  \"hidden_act\": \"silu\",\n  \"hidden_size\": " +
         number(o.hidden) + ",\n  \"intermediate_size\": " + number(o.intermediate) +
         ",\n  \"max_position_embeddings\": 2048,\n  \"model_type\": \"llama\""
         ",\n  \"num_attention_heads\": " +
         number(heads) + ",\n  \"num_hidden_layers\": " + number(o.layers) +
         ",\n  \"num_key_value_heads\": " + number(heads % 4 == 0 ? heads / 4 : heads) +
         ",\n  \"rms_norm_eps\": 1e-05,\n  \"tie_word_embeddings\": true,\n  \"torch_dtype\": \"" +
         dtype + "\",\n  \"vocab_size\": " + number(o.vocab) + "\n}\n";
}

std::string ShardName(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  const auto padded = [](size_t n) {
    const std::string digits = std::to_string(n);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  return "model-" + padded(index + 1) + "-of-" + padded(count) + ".safetensors";
}

// Fills one file after the other in the order of the tensors, as the hub's tools do.
Status SplitIntoShards(std::vector<io::SafetensorsTensor> tensors, SynthLayout* layout) {
  std::vector<std::vector<size_t>> groups(1);
  uint64_t filled = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    QSTORE_ASSIGN(const uint64_t size, io::TensorByteSize(tensors[i].dtype, tensors[i].shape));
    if (filled != 0 && filled + size > layout->options.shard_bytes) {
      groups.emplace_back();
      filled = 0;
    }
    groups.back().push_back(i);
    filled += size;
    layout->tensor_bytes += size;
  }
  io::SafetensorsIndex index;
  for (size_t g = 0; g < groups.size(); ++g) {
    Shard shard;
    shard.name = ShardName(g, groups.size());
    std::vector<io::SafetensorsTensor> members;
    for (const size_t i : groups[g]) {
      index.weight_map.emplace_back(tensors[i].name, shard.name);
      members.push_back(tensors[i]);
    }
    QSTORE_ASSIGN(shard.layout, io::LayOutSafetensors(members, {{"format", "pt"}}));
    for (const auto& placed : shard.layout.header.tensors) {
      const auto member = std::find_if(groups[g].begin(), groups[g].end(),
                                       [&](size_t i) { return tensors[i].name == placed.name; });
      shard.stream.push_back(static_cast<uint32_t>(*member));
    }
    layout->shards.push_back(std::move(shard));
  }
  if (groups.size() > 1)
    layout->index_json = io::WriteSafetensorsIndex(index, layout->tensor_bytes);
  return {};
}

}  // namespace

Result<SynthLayout> LayOutSynth(SynthOptions options) {
  QSTORE_TRY(CheckLaw(options));
  QSTORE_TRY(ChooseDimensions(&options));
  SynthLayout layout;
  layout.options = options;
  layout.config_json = ConfigJson(options);
  QSTORE_TRY(SplitIntoShards(ListTensors(options), &layout));
  return layout;
}

}  // namespace qstore::make
