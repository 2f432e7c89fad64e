// SPDX-License-Identifier: Apache-2.0
#include "make/format_config.h"

#include <algorithm>

#include "io/json.h"

namespace qstore::make {
namespace {

std::string JsonList(const std::vector<std::string>& items) {
  std::string list = "[";
  for (const std::string& item : items) {
    if (list.size() > 1) list += ',';
    io::AppendJsonString(item, &list);
  }
  return list + ']';
}

std::string JsonListOrNull(const SkippedModules& skipped) {
  return skipped.departs ? JsonList(skipped.all) : "null";
}

std::string Bitsandbytes(bool is_4bit, const SkippedModules& skipped) {
  const std::string four = is_4bit ? "true" : "false";
  const std::string eight = is_4bit ? "false" : "true";
  return R"({"_load_in_4bit":)" + four + R"(,"_load_in_8bit":)" + eight +
         R"(,"bnb_4bit_compute_dtype":"float32","bnb_4bit_quant_storage":"uint8",)"
         R"("bnb_4bit_quant_type":)" +
         (is_4bit ? R"("nf4")" : R"("fp4")") +
         R"(,"bnb_4bit_use_double_quant":false,"llm_int8_enable_fp32_cpu_offload":false,)"
         R"("llm_int8_has_fp16_weight":false,"llm_int8_skip_modules":)" +
         JsonListOrNull(skipped) + R"(,"llm_int8_threshold":6.0,"load_in_4bit":)" + four +
         R"(,"load_in_8bit":)" + eight + R"(,"quant_method":"bitsandbytes"})";
}

std::string FineGrained(const SkippedModules& skipped) {
  return R"({"activation_scheme":"dynamic","modules_to_not_convert":)" + JsonListOrNull(skipped) +
         R"(,"quant_method":"fp8","weight_block_size":[128,128]})";
}

// A scheme of compressed-tensors, by the names of its own presets.
struct Preset {
  std::string_view format;  // One of RoundFormats.
  std::string_view packing;
  std::string_view inputs;  // How activations are quantized; null where they are not.
  std::string_view weights;
};
constexpr Preset kPresets[] = {
    {"fp8-block", "float-quantized",
     R"({"dynamic":true,"group_size":128,"num_bits":8,"strategy":"group","symmetric":true,)"
     R"("type":"float"})",
     R"({"block_structure":[128,128],"dynamic":false,"group_size":null,"num_bits":8,)"
     R"("strategy":"block","symmetric":true,"type":"float"})"},
    {"fp8-channel", "float-quantized",
     R"({"dynamic":true,"group_size":null,"num_bits":8,"strategy":"token","symmetric":true,)"
     R"("type":"float"})",
     R"({"dynamic":false,"group_size":null,"num_bits":8,"strategy":"channel","symmetric":true,)"
     R"("type":"float"})"},
    // The preset has scales of activations that calibration measures; here they are dynamic.
    {"fp8-tensor", "float-quantized",
     R"({"dynamic":true,"group_size":null,"num_bits":8,"strategy":"tensor","symmetric":true,)"
     R"("type":"float"})",
     R"({"dynamic":false,"group_size":null,"num_bits":8,"strategy":"tensor","symmetric":true,)"
     R"("type":"float"})"},
    {"int8", "int-quantized",
     R"({"dynamic":true,"group_size":null,"num_bits":8,"strategy":"token","symmetric":true,)"
     R"("type":"int"})",
     R"({"dynamic":false,"group_size":null,"num_bits":8,"strategy":"channel","symmetric":true,)"
     R"("type":"int"})"},
    {"int4", "pack-quantized", "null",
     R"({"dynamic":false,"group_size":128,"num_bits":4,"strategy":"group","symmetric":true,)"
     R"("type":"int"})"},
    {"nvfp4", "nvfp4-pack-quantized", "null",
     R"({"dynamic":false,"group_size":16,"num_bits":4,"scale_dtype":"torch.float8_e4m3fn",)"
     R"("strategy":"tensor_group","symmetric":true,"type":"float"})"},
    {"mxfp4", "mxfp4-pack-quantized", "null",
     R"({"dynamic":false,"group_size":32,"num_bits":4,"scale_dtype":"torch.uint8",)"
     R"("strategy":"group","symmetric":true,"type":"float"})"}};

std::string CompressedTensors(const Preset& preset, const SkippedModules& skipped) {
  // The head has no tensor of its own where it is tied to the embeddings.
  std::vector<std::string> ignored = skipped.linear;
  if (std::find(ignored.begin(), ignored.end(), "lm_head") == ignored.end()) {
    ignored.emplace_back("lm_head");
  }
  const std::string packing = '"' + std::string(preset.packing) + '"';
  return R"({"config_groups":{"group_0":{"format":)" + packing + R"(,"input_activations":)" +
         std::string(preset.inputs) + R"(,"output_activations":null,"targets":["Linear"],)" +
         R"("weights":)" + std::string(preset.weights) + R"(}},"format":)" + packing +
         R"(,"global_compression_ratio":null,"ignore":)" + JsonList(ignored) +
         R"(,"kv_cache_scheme":null,"quant_method":"compressed-tensors",)"
         R"("quantization_status":"compressed"})";
}

}  // namespace

std::string QuantizationConfig(std::string_view format, const SkippedModules& skipped) {
  const auto* const preset =
      std::find_if(std::begin(kPresets), std::end(kPresets),
                   [&](const Preset& known) { return known.format == format; });
  if (preset != std::end(kPresets)) return CompressedTensors(*preset, skipped);
  if (format == "fp8-fine-grained") return FineGrained(skipped);
  return Bitsandbytes(format == "nf4", skipped);
}

}  // namespace qstore::make
