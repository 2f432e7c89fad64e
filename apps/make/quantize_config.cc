// SPDX-License-Identifier: Apache-2.0
#include "make/quantize_config.h"

#include <algorithm>
#include <iterator>

#include "base/status_macros.h"
#include "io/json.h"
#include "io/json_document.h"

namespace qstore::make {
namespace {

// Models whose layers are transformers' Conv1D: matrices of [in, out].
constexpr std::string_view kTransposed[] = {"gpt2", "openai-gpt", "imagegpt",
                                            "decision_transformer"};

// What transformers is told the float tensors are; nothing when that stays as it is.
std::string_view FloatType(const QuantizeOptions& options) {
  const bool quantizes = Quantizes(options.target);
  if (quantizes && options.rest == QuantizeRest::kKeep) return {};
  const bool bf16 =
      quantizes ? options.rest == QuantizeRest::kBF16 : options.target == QuantizeTarget::kBF16;
  return bf16 ? "bfloat16" : "float16";
}

}  // namespace

Result<std::string> RewriteConfig(std::string_view text, const QuantizeOptions& options,
                                  const SkippedModules& skipped) {
  QSTORE_ASSIGN(io::JsonDocument config, io::JsonDocument::Parse(text));
  if (Quantizes(options.target)) {
    if (config.Has("quantization_config")) {
      return InvalidArgument("the model has a quantization_config already");
    }
    const std::string type = config.GetString("model_type").value_or("");
    if (std::find(std::begin(kTransposed), std::end(kTransposed), type) != std::end(kTransposed)) {
      return InvalidArgument("the linear layers of '" + type + "' models are stored transposed");
    }
    const bool is_llm = options.target == QuantizeTarget::kLlmInt8;
    config.Set("quantization_config",
               QuantizationConfig(is_llm ? "llm-int8" : options.format, skipped));
  }
  if (const std::string_view type = FloatType(options); !type.empty()) {
    const size_t known =
        config.ReplaceStrings("torch_dtype", type) + config.ReplaceStrings("dtype", type);
    if (known == 0) config.Set("torch_dtype", "\"" + std::string(type) + "\"");
  }
  return config.Dump();
}

}  // namespace qstore::make
