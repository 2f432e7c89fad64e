// SPDX-License-Identifier: Apache-2.0
#include "analyze/layers.h"

#include <algorithm>
#include <set>

#include "base/status_macros.h"
#include "common/glob.h"
#include "io/safetensors.h"

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
    QSTORE_TRY(CheckVariantName(variant.name));
    if (!names.insert(variant.name).second) {
      return InvalidArgument("two variants are named '" + variant.name + "'");
    }
  }
  return {};
}

struct VariantModel {
  std::string name;
  std::shared_ptr<const Checkpoint> model;
  bool quantized = false;
};

bool MatchesAny(std::span<const std::string> patterns, std::string_view module) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) {
           return apps::GlobMatches(p, module);
         });
}

Result<VariantModel> OpenVariant(const VariantSource& source) {
  QSTORE_ASSIGN(Checkpoint model, Checkpoint::Open(source.path));
  if (model.tensor_count() == 0) {
    return InvalidArgument(source.path.string() + ": holds no tensors in safetensors files");
  }
  VariantModel variant{source.name, std::make_shared<const Checkpoint>(std::move(model))};
  for (size_t i = 0; i < variant.model->matrix_count(); ++i) {
    variant.quantized |= !variant.model->matrix(i).scheme.empty();
  }
  return variant;
}

// Fills in the layer of each variant; an error is the reason why it is not analysed.
Status FillLayer(std::span<const VariantModel> variants, Layer* layer) {
  for (const VariantModel& variant : variants) {
    const std::string where = "in '" + variant.name + "'";
    const auto index = variant.model->FindMatrix(layer->name);
    if (!index) {
      return InvalidArgument(where + ": no " + io::QuotedName(layer->name + ".weight"));
    }
    layer->variants.push_back({variant.model, *index, variant.model->matrix(*index)});
    const WeightMatrix& first = layer->variants.front().matrix;
    const WeightMatrix& last = layer->variants.back().matrix;
    if (!last.problem.ok()) return last.problem.WithContext(where);
    if (variant.quantized && last.scheme.empty()) {
      return InvalidArgument(where + ": not quantized");
    }
    if (first.rows != last.rows || first.columns != last.columns) {
      return InvalidArgument(where + ": " + std::to_string(last.rows) + " x " +
                             std::to_string(last.columns) + " weights, but " +
                             std::to_string(first.rows) + " x " + std::to_string(first.columns) +
                             " in '" + variants.front().name + "'");
    }
  }
  return {};
}

}  // namespace

uint64_t Layer::source_bytes() const {
  uint64_t bytes = 0;
  for (const LayerVariant& variant : variants) {
    for (const WeightPart& part : variant.matrix.parts) bytes += variant.tensor(part).byte_size;
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
  std::vector<VariantModel> models;
  std::set<std::string, decltype(&NaturalLess)> names(&NaturalLess);
  for (const VariantSource& source : variants) {
    QSTORE_ASSIGN(VariantModel variant, OpenVariant(source));
    for (size_t i = 0; i < variant.model->matrix_count(); ++i) {
      const std::string_view module = variant.model->matrix(i).module;
      if (MatchesAny(patterns, module)) names.emplace(module);
    }
    models.push_back(std::move(variant));
  }
  std::vector<Layer> layers;
  std::string reason = "no matrix of weights has such a name";
  bool any = false;
  for (const std::string& name : names) {
    Layer layer;
    layer.name = name;
    const Status filled = FillLayer(models, &layer);
    if (filled.ok()) {
      any = true;
    } else {
      layer.variants.clear();
      layer.not_analysed = filled.message();
      reason = io::QuotedName(name) + ": " + filled.message();
    }
    layers.push_back(std::move(layer));
  }
  if (any) return layers;
  return InvalidArgument("the models have no layer in common that can be analysed: " + reason);
}

}  // namespace qstore::analyze
