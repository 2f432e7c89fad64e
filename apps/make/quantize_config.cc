// SPDX-License-Identifier: Apache-2.0
#include "make/quantize_config.h"

#include <algorithm>
#include <iterator>

#include "base/status_macros.h"
#include "io/json.h"
#include "io/json_document.h"

namespace qstore::make {
namespace {

// Models whose layers are transformers' Conv1D: matrices of [in, out], which bitsandbytes
// transposes.
constexpr std::string_view kTransposed[] = {"gpt2", "openai-gpt", "imagegpt",
                                            "decision_transformer"};

std::string BitsAndBytesConfig(const std::optional<std::vector<std::string>>& skipped) {
  std::string modules = "null";
  if (skipped) {
    modules = "[";
    for (const std::string& module : *skipped) {
      if (modules.size() > 1) modules += ',';
      io::AppendJsonString(module, &modules);
    }
    modules += ']';
  }
  return R"({"_load_in_4bit":false,"_load_in_8bit":true,"bnb_4bit_compute_dtype":"float32",)"
         R"("bnb_4bit_quant_storage":"uint8","bnb_4bit_quant_type":"fp4",)"
         R"("bnb_4bit_use_double_quant":false,"llm_int8_enable_fp32_cpu_offload":false,)"
         R"("llm_int8_has_fp16_weight":false,"llm_int8_skip_modules":)" +
         modules +
         R"(,"llm_int8_threshold":6.0,"load_in_4bit":false,"load_in_8bit":true,)"
         R"("quant_method":"bitsandbytes"})";
}

// What transformers is told the float tensors are; nothing when that stays as it is.
std::string_view FloatType(const QuantizeOptions& options) {
  const bool int8 = options.target == QuantizeTarget::kLlmInt8;
  if (int8 && options.rest == QuantizeRest::kKeep) return {};
  const bool bf16 =
      int8 ? options.rest == QuantizeRest::kBF16 : options.target == QuantizeTarget::kBF16;
  return bf16 ? "bfloat16" : "float16";
}

}  // namespace

Result<std::string> RewriteConfig(std::string_view text, const QuantizeOptions& options,
                                  const std::optional<std::vector<std::string>>& skipped) {
  QSTORE_ASSIGN(io::JsonDocument config, io::JsonDocument::Parse(text));
  if (options.target == QuantizeTarget::kLlmInt8) {
    if (config.Has("quantization_config")) {
      return InvalidArgument("the model has a quantization_config already");
    }
    const std::string type = config.GetString("model_type").value_or("");
    if (std::find(std::begin(kTransposed), std::end(kTransposed), type) != std::end(kTransposed)) {
      return InvalidArgument("the linear layers of '" + type + "' models are stored transposed");
    }
    config.Set("quantization_config", BitsAndBytesConfig(skipped));
  }
  if (const std::string_view type = FloatType(options); !type.empty()) {
    const size_t known =
        config.ReplaceStrings("torch_dtype", type) + config.ReplaceStrings("dtype", type);
    if (known == 0) config.Set("torch_dtype", "\"" + std::string(type) + "\"");
  }
  return config.Dump();
}

}  // namespace qstore::make
