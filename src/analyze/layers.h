// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"
#include "io/safetensors.h"
#include "qstore/pack.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// A tensor and the file it is in.
struct TensorAt {
  std::shared_ptr<const io::SourceFile> file;
  io::SafetensorsTensor tensor;
  uint64_t byte_size() const { return tensor.end - tensor.begin; }
};

/// How a variant holds the weights of a layer.
enum class LevelForm : uint8_t {
  kFloat,    ///< P.weight, BF16 or F16 [out, ...].
  kLlmInt8,  ///< P.weight I8 [out, ...], P.SCB F32 [out].
  kGptq,     ///< P.qweight I32 [in * bits / 32, out], P.scales [groups, out] and more.
};

/// "float", "llm-int8" or "gptq".
std::string_view LevelFormName(LevelForm form);

/// The weights of one layer in one variant: `outs` rows of `ins` weights.
struct Level {
  LevelForm form = LevelForm::kFloat;
  unsigned bits = 16;  ///< Of one weight: 16, 8, 4, 3 or 2.
  uint64_t outs = 0;
  uint64_t ins = 0;
  uint64_t groups = 1;  ///< Scales of a row.
  TensorAt weight;      ///< P.weight or P.qweight.
  std::optional<TensorAt> scales;
  std::optional<TensorAt> zeros;  ///< kGptq only, as the two below.
  std::optional<TensorAt> g_idx;
  std::optional<TensorAt> format;  ///< P.weight_format of kLlmInt8.

  uint64_t weights() const { return outs * ins; }
  bool quantized() const { return form != LevelForm::kFloat; }
  /// All its tensors, the weights first.
  std::vector<const TensorAt*> tensors() const;
};

/// One layer in all variants, or why it is not looked at.
struct Layer {
  std::string name;               ///< P.
  std::vector<Level> levels;      ///< By variant; empty when it is not analysed.
  std::string not_analysed;       ///< The reason; empty otherwise.
  uint64_t source_bytes() const;  ///< Of all its tensors.
};

/// The kind of layer a name tells: its last two parts that are no numbers, "self_attn.q_proj".
std::string LayerType(std::string_view name);

/// The layers of the variants, by name with numbers in their order: every module that some variant
/// holds as a matrix of weights, and that one of `patterns` (`*` any run of characters, `?` one)
/// matches, or all when there are none. A layer is analysed when every variant holds it, in one
/// shape and at the level that is the variant's: quantized, if any layer of the variant is. Errors:
/// those of listing and reading the files; kCorrupt for a .safetensors file that is none;
/// kInvalidArgument: names of variants, a variant without weights, no layer in common.
Result<std::vector<Layer>> FindLayers(std::span<const VariantSource> variants,
                                      std::span<const std::string> patterns);

}  // namespace qstore::analyze
