// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "analyze/results.h"

namespace qstore::analyze {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(const Json& document) {
  // Names of tensors may be any bytes.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

double PerWeight(double bits, uint64_t weights) {
  return weights == 0 ? 0 : bits / static_cast<double>(weights);
}

Json LayerDocument(const LayerResult& layer) {
  Json document = {{"layer", layer.name}, {"type", layer.type}};
  if (!layer.not_analysed.empty()) {
    document["not_analysed"] = layer.not_analysed;
    return document;
  }
  document["shape"] = {layer.outs, layer.ins};
  document["weights"] = layer.weights;
  document["seconds"] = layer.seconds;
  document["levels"] = Json::array();
  for (const LevelNote& level : layer.levels) {
    document["levels"].push_back({{"variant", level.variant},
                                  {"form", level.form},
                                  {"bits", level.bits},
                                  {"groups", level.groups},
                                  {"non_finite", level.non_finite}});
  }
  document["measures"] = Json::array();
  for (const Measure& measure : layer.measures) {
    document["measures"].push_back({{"method", measure.method},
                                    {"of", measure.of},
                                    {"given", measure.given},
                                    {"bits", measure.bits},
                                    {"bits_per_weight", PerWeight(measure.bits, layer.weights)},
                                    {"detail", measure.detail}});
  }
  return document;
}

Json MeasureDocuments(const std::vector<AnalyzeTotal>& measures) {
  Json documents = Json::array();
  for (const AnalyzeTotal& total : measures) {
    documents.push_back({{"method", total.method},
                         {"of", total.of},
                         {"given", total.given},
                         {"weights", total.weights},
                         {"bits", total.bits},
                         {"bits_per_weight", total.bits_per_weight()}});
  }
  return documents;
}

Json TotalsDocument(const Totals& totals) {
  return {{"layers", totals.layers},
          {"weights", totals.weights},
          {"measures", MeasureDocuments(totals.measures)},
          {"plans", MeasureDocuments(totals.plans)}};
}

LayerResult ReadLayer(const Json& document) {
  LayerResult layer;
  layer.name = document.at("layer");
  layer.type = document.at("type");
  if (document.contains("not_analysed")) {
    layer.not_analysed = document.at("not_analysed");
    return layer;
  }
  layer.outs = document.at("shape").at(0);
  layer.ins = document.at("shape").at(1);
  layer.weights = document.at("weights");
  layer.seconds = document.at("seconds");
  for (const Json& level : document.at("levels")) {
    layer.levels.push_back({level.at("variant"), level.at("form"), level.at("bits"),
                            level.at("groups"), level.at("non_finite")});
  }
  for (const Json& measure : document.at("measures")) {
    layer.measures.push_back({measure.at("method"), measure.at("of"), measure.at("given"),
                              measure.at("bits"), measure.at("detail")});
  }
  return layer;
}

}  // namespace

std::string LayerToJson(const LayerResult& layer) { return Text(LayerDocument(layer)); }

Result<LayerResult> LayerFromJson(std::string_view text) {
  try {
    return ReadLayer(Json::parse(text));
  } catch (const Json::exception& error) {
    return Corrupt(std::string("not the result of a layer: ") + error.what());
  }
}

std::string SummaryToJson(std::string_view run, const Totals& all,
                          const std::vector<Totals>& by_type,
                          const std::vector<LayerResult>& layers) {
  Json document = {{"run", Json::parse(run, nullptr, false)}, {"total", TotalsDocument(all)}};
  document["by_type"] = Json::object();
  for (const Totals& totals : by_type) document["by_type"][totals.type] = TotalsDocument(totals);
  document["layers"] = Json::array();
  document["not_analysed"] = Json::array();
  for (const LayerResult& layer : layers) {
    const char* list = layer.not_analysed.empty() ? "layers" : "not_analysed";
    document[list].push_back(LayerDocument(layer));
  }
  return Text(document);
}

std::string RunToJson(std::span<const VariantSource> variants, const AnalyzeOptions& options,
                      const std::vector<std::pair<std::string, std::string>>& files) {
  Json document = {{"variants", Json::array()},
                   {"huffman", options.huffman},
                   {"zstd", options.zstd},
                   {"zipnn", static_cast<bool>(options.zipnn)},
                   {"conditional", options.conditional},
                   {"level", static_cast<int>(options.level)},
                   {"pairs", options.pairs},
                   {"layers", options.layers},
                   {"sample", options.sample},
                   {"sample_rows", options.sample_rows},
                   {"files", files}};
  for (const VariantSource& variant : variants) {
    document["variants"].push_back({{"name", variant.name}, {"path", variant.path.string()}});
  }
  return Text(document);
}

}  // namespace qstore::analyze
