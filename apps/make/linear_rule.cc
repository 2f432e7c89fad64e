// SPDX-License-Identifier: Apache-2.0
#include "make/linear_rule.h"

#include <algorithm>

#include "common/glob.h"

namespace qstore::make {
namespace {

constexpr std::string_view kSuffix = ".weight";

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}
bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}
bool MatchesAny(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return apps::GlobMatches(pattern, name); });
}

std::string_view LastOf(std::string_view module) { return module.substr(module.rfind('.') + 1); }

bool IsEmbedding(std::string_view last) {
  return StartsWith(last, "embed_") || EndsWith(last, "_embed") || EndsWith(last, "embedding") ||
         EndsWith(last, "embeddings") ||
         IsOneOf(last, {"embed", "emb", "wte", "wpe", "shared", "relative_attention_bias"});
}

bool IsOutputHead(std::string_view module, std::string_view last) {
  return IsOneOf(last, {"lm_head", "embed_out", "output_layer", "output_projection"}) ||
         IsOneOf(module, {"output", "head"}) || EndsWith(module, "lm_head.decoder") ||
         EndsWith(module, "predictions.decoder");
}

}  // namespace

bool IsFloat(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 ||
         dtype == DType::kBF16;
}

bool IsWeightMatrix(const io::SafetensorsTensor& tensor) {
  return IsFloat(tensor.dtype) && tensor.shape.size() == 2 && tensor.begin != tensor.end &&
         tensor.name.size() > kSuffix.size() && EndsWith(tensor.name, kSuffix);
}

std::string_view ModuleOf(const io::SafetensorsTensor& tensor) {
  return std::string_view(tensor.name).substr(0, tensor.name.size() - kSuffix.size());
}

bool IsLinearModule(std::string_view module) {
  return !IsEmbeddingModule(module) && !IsOutputHead(module, LastOf(module));
}

bool IsEmbeddingModule(std::string_view module) { return IsEmbedding(LastOf(module)); }

bool LinearChoice::Chooses(const io::SafetensorsTensor& tensor) const {
  if (!IsWeightMatrix(tensor) || MatchesAny(exclude, tensor.name)) return false;
  return IsLinearModule(ModuleOf(tensor)) || MatchesAny(include, tensor.name);
}

}  // namespace qstore::make
