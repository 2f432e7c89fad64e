// SPDX-License-Identifier: Apache-2.0
#include "analyze/layers.h"

#include <algorithm>
#include <set>

#include "analyze/levels.h"
#include "base/status_macros.h"
#include "format/names.h"
#include "make/linear_rule.h"

namespace qstore::analyze {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "layers.9" before "layers.10".
bool NaturalLess(std::string_view a, std::string_view b) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (!IsDigit(a[i]) || !IsDigit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const size_t a_end = std::min(a.find_first_not_of("0123456789", i), a.size());
    const size_t b_end = std::min(b.find_first_not_of("0123456789", j), b.size());
    if (a_end - i != b_end - j) return a_end - i < b_end - j;
    const int order = a.substr(i, a_end - i).compare(b.substr(j, b_end - j));
    if (order != 0) return order < 0;
    i = a_end;
    j = b_end;
  }
  return a.size() - i < b.size() - j;
}

Status CheckNames(std::span<const VariantSource> variants) {
  if (variants.empty() || variants.size() > 3) {
    return InvalidArgument("give one to three variants to analyse");
  }
  std::set<std::string_view> names;
  for (const VariantSource& variant : variants) {
    QSTORE_TRY(format::CheckVariantName(variant.name));
    if (!names.insert(variant.name).second) {
      return InvalidArgument("two variants are named '" + variant.name + "'");
    }
  }
  return {};
}

struct VariantTensors {
  const VariantSource* source = nullptr;
  TensorMap tensors;
  std::vector<std::string> modules;
  bool quantized = false;
};

Result<VariantTensors> ReadVariant(const VariantSource& source,
                                   std::span<const std::string> patterns) {
  VariantTensors variant;
  variant.source = &source;
  QSTORE_ASSIGN(variant.tensors, ReadTensors(source.path));
  if (variant.tensors.empty()) {
    return InvalidArgument(source.path.string() + ": holds no tensors in safetensors files");
  }
  for (const auto& [name, tensor] : variant.tensors) {
    const std::string module(ModuleOf(name, tensor));
    if (module.empty()) continue;
    variant.quantized |= tensor.tensor.dtype == DType::kI8 || name.ends_with(".qweight");
    if (patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) {
          return make::GlobMatches(pattern, module);
        })) {
      variant.modules.push_back(module);
    }
  }
  return variant;
}

// Fills the layer's levels; an error is the reason why it is not analysed.
Status FillLayer(std::span<const VariantTensors> variants, Layer* layer) {
  for (const VariantTensors& variant : variants) {
    const std::string where = "in '" + variant.source->name + "'";
    auto level = FindLevel(variant.tensors, layer->name);
    if (!level.ok()) return level.status().WithContext(where);
    if (variant.quantized && !level->quantized()) {
      return InvalidArgument(where + ": not quantized");
    }
    layer->levels.push_back(std::move(*level));
    const Level& first = layer->levels.front();
    const Level& last = layer->levels.back();
    if (first.outs != last.outs || first.ins != last.ins) {
      return InvalidArgument(where + ": " + std::to_string(last.outs) + " x " +
                             std::to_string(last.ins) + " weights, but " +
                             std::to_string(first.outs) + " x " + std::to_string(first.ins) +
                             " in '" + variants.front().source->name + "'");
    }
  }
  return {};
}

}  // namespace

std::string_view LevelFormName(LevelForm form) {
  switch (form) {
    case LevelForm::kFloat:
      return "float";
    case LevelForm::kLlmInt8:
      return "llm-int8";
    default:
      return "gptq";
  }
}

std::vector<const TensorAt*> Level::tensors() const {
  std::vector<const TensorAt*> all = {&weight};
  for (const auto* more : {&scales, &zeros, &g_idx, &format}) {
    if (more->has_value()) all.push_back(&more->value());
  }
  return all;
}

uint64_t Layer::source_bytes() const {
  uint64_t bytes = 0;
  for (const Level& level : levels) {
    for (const TensorAt* tensor : level.tensors()) bytes += tensor->byte_size();
  }
  return bytes;
}

std::string LayerType(std::string_view name) {
  std::vector<std::string_view> parts;
  while (!name.empty()) {
    const size_t dot = name.rfind('.');
    const std::string_view part = dot == std::string_view::npos ? name : name.substr(dot + 1);
    name = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
    if (part.empty() || std::all_of(part.begin(), part.end(), IsDigit)) continue;
    parts.push_back(part);
    if (parts.size() == 2) break;
  }
  if (parts.empty()) return "layer";
  return parts.size() == 1 ? std::string(parts[0])
                           : std::string(parts[1]) + "." + std::string(parts[0]);
}

Result<std::vector<Layer>> FindLayers(std::span<const VariantSource> variants,
                                      std::span<const std::string> patterns) {
  QSTORE_TRY(CheckNames(variants));
  std::vector<VariantTensors> read;
  std::set<std::string, decltype(&NaturalLess)> names(&NaturalLess);
  for (const VariantSource& source : variants) {
    QSTORE_ASSIGN(VariantTensors variant, ReadVariant(source, patterns));
    names.insert(variant.modules.begin(), variant.modules.end());
    read.push_back(std::move(variant));
  }
  std::vector<Layer> layers;
  std::string reason = "no matrix of weights has such a name";
  bool any = false;
  for (const std::string& name : names) {
    Layer layer;
    layer.name = name;
    const Status filled = FillLayer(read, &layer);
    if (filled.ok()) {
      any = true;
    } else {
      layer.levels.clear();
      layer.not_analysed = filled.message();
      reason = io::QuotedName(name) + ": " + filled.message();
    }
    layers.push_back(std::move(layer));
  }
  if (any) return layers;
  return InvalidArgument("the models have no layer in common that can be analysed: " + reason);
}

}  // namespace qstore::analyze
