// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <utility>

#include "analyze/results.h"
#include "base/status_macros.h"
#include "io/json_value.h"

namespace qstore::analyze {
namespace {

using Json = io::JsonValue;

double PerWeight(double bits, uint64_t weights) {
  return weights == 0 ? 0 : bits / static_cast<double>(weights);
}

Json LayerDocument(const LayerResult& layer) {
  Json document = Json::Object({{"layer", layer.name}, {"type", layer.type}});
  if (!layer.not_analysed.empty()) {
    document.Add("not_analysed", layer.not_analysed);
    return document;
  }
  document.Add("shape", Json::ArrayOf<uint64_t>({layer.outs, layer.ins}));
  document.Add("weights", layer.weights);
  document.Add("seconds", layer.seconds);
  Json levels = Json::Array();
  for (const VariantNote& note : layer.variants) {
    levels.Append(Json::Object({{"variant", note.variant},
                                {"form", note.form},
                                {"bits", note.bits},
                                {"groups", note.groups},
                                {"non_finite", note.non_finite}}));
  }
  document.Add("levels", std::move(levels));
  Json measures = Json::Array();
  for (const Measure& measure : layer.measures) {
    measures.Append(Json::Object({{"method", measure.method},
                                  {"of", measure.of},
                                  {"given", measure.given},
                                  {"bits", measure.bits},
                                  {"bits_per_weight", PerWeight(measure.bits, layer.weights)},
                                  {"detail", measure.detail}}));
  }
  document.Add("measures", std::move(measures));
  return document;
}

Json MeasureDocuments(const std::vector<AnalyzeTotal>& measures) {
  Json documents = Json::Array();
  for (const AnalyzeTotal& total : measures) {
    documents.Append(Json::Object({{"method", total.method},
                                   {"of", total.of},
                                   {"given", total.given},
                                   {"weights", total.weights},
                                   {"bits", total.bits},
                                   {"bits_per_weight", total.bits_per_weight()}}));
  }
  return documents;
}

Json TotalsDocument(const Totals& totals) {
  Json document = Json::Object({{"layers", totals.layers}, {"weights", totals.weights}});
  document.Add("measures", MeasureDocuments(totals.measures));
  document.Add("plans", MeasureDocuments(totals.plans));
  return document;
}

bool Read(const Json& value, std::string* to) {
  if (value.kind() != Json::Kind::kString) return false;
  *to = value.text();
  return true;
}

template <class Number>
bool Read(const Json& value, Number* to) {
  const char* end = value.text().data() + value.text().size();
  const auto parsed = std::from_chars(value.text().data(), end, *to);
  return value.kind() == Json::Kind::kNumber && parsed.ec == std::errc() && parsed.ptr == end;
}

template <class T>
bool Read(const Json& object, std::string_view name, T* to) {
  const Json* member = object.Find(name);
  return member != nullptr && Read(*member, to);
}

// Calls `read` for each member of the array of that name until it returns false.
template <class Element>
bool ReadAll(const Json& object, std::string_view name, const Element& read) {
  const Json* array = object.Find(name);
  if (array == nullptr || array->kind() != Json::Kind::kArray) return false;
  for (const io::JsonMember& element : array->members()) {
    if (!read(element.value)) return false;
  }
  return true;
}

bool ReadLayer(const Json& document, LayerResult* layer) {
  if (!Read(document, "layer", &layer->name) || !Read(document, "type", &layer->type)) return false;
  if (document.Find("not_analysed") != nullptr) {
    return Read(document, "not_analysed", &layer->not_analysed);
  }
  std::vector<uint64_t> shape;
  const auto read_size = [&](const Json& size) { return Read(size, &shape.emplace_back()); };
  if (!ReadAll(document, "shape", read_size) || shape.size() != 2) return false;
  layer->outs = shape[0];
  layer->ins = shape[1];
  const auto read_variant = [&](const Json& from) {
    VariantNote& note = layer->variants.emplace_back();
    return Read(from, "variant", &note.variant) && Read(from, "form", &note.form) &&
           Read(from, "bits", &note.bits) && Read(from, "groups", &note.groups) &&
           Read(from, "non_finite", &note.non_finite);
  };
  const auto read_measure = [&](const Json& from) {
    Measure& measure = layer->measures.emplace_back();
    return Read(from, "method", &measure.method) && Read(from, "of", &measure.of) &&
           Read(from, "given", &measure.given) && Read(from, "bits", &measure.bits) &&
           Read(from, "detail", &measure.detail);
  };
  return Read(document, "weights", &layer->weights) && Read(document, "seconds", &layer->seconds) &&
         ReadAll(document, "levels", read_variant) && ReadAll(document, "measures", read_measure);
}

}  // namespace

std::string LayerToJson(const LayerResult& layer) { return LayerDocument(layer).Dump() + "\n"; }

Result<LayerResult> LayerFromJson(std::string_view text) {
  const auto document = Json::Parse(text);
  LayerResult layer;
  if (document.ok() && ReadLayer(*document, &layer)) return layer;
  return Corrupt("not the result of a layer");
}

std::string SummaryToJson(std::string_view run, const Totals& all,
                          const std::vector<Totals>& by_type,
                          const std::vector<LayerResult>& layers) {
  auto read = Json::Parse(run);
  Json types = Json::Object({});
  for (const Totals& totals : by_type) types.Add(totals.type, TotalsDocument(totals));
  Json analysed = Json::Array();
  Json others = Json::Array();
  for (const LayerResult& layer : layers) {
    Json& list = layer.not_analysed.empty() ? analysed : others;
    list.Append(LayerDocument(layer));
  }
  Json document = Json::Object({});
  document.Add("run", read.ok() ? std::move(*read) : Json());
  document.Add("total", TotalsDocument(all));
  document.Add("by_type", std::move(types));
  document.Add("layers", std::move(analysed));
  document.Add("not_analysed", std::move(others));
  return document.Dump() + "\n";
}

std::string RunToJson(std::span<const VariantSource> variants, const AnalyzeOptions& options,
                      const std::vector<std::pair<std::string, std::string>>& files) {
  const auto pairs = [](const std::vector<std::pair<std::string, std::string>>& list) {
    Json array = Json::Array();
    for (const auto& [a, b] : list) array.Append(Json::ArrayOf<std::string>({a, b}));
    return array;
  };
  Json sources = Json::Array();
  for (const VariantSource& variant : variants) {
    sources.Append(Json::Object({{"name", variant.name}, {"path", variant.path.string()}}));
  }
  const Json document = Json::Object({{"variants", sources},
                                      {"huffman", options.huffman},
                                      {"zstd", Json::ArrayOf(options.zstd)},
                                      {"zipnn", static_cast<bool>(options.zipnn)},
                                      {"conditional", options.conditional},
                                      {"level", static_cast<int>(options.level)},
                                      {"pairs", pairs(options.pairs)},
                                      {"layers", Json::ArrayOf(options.layers)},
                                      {"sample", options.sample},
                                      {"sample_rows", options.sample_rows},
                                      {"files", pairs(files)}});
  return document.Dump() + "\n";
}

}  // namespace qstore::analyze
