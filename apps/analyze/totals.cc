// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>

#include "analyze/results.h"

namespace qstore::analyze {
namespace {

void AddMeasure(const LayerResult& layer, const Measure& measure,
                std::vector<AnalyzeTotal>* totals) {
  auto found = std::find_if(totals->begin(), totals->end(), [&](const AnalyzeTotal& total) {
    return total.method == measure.method && total.of == measure.of && total.given == measure.given;
  });
  if (found == totals->end()) {
    totals->push_back({measure.method, measure.of, measure.given, 0, 0});
    found = totals->end() - 1;
  }
  found->weights += layer.weights;
  found->bits += measure.bits;
}

// One way to keep all variants: the sum of a measure for each.
class Planner {
 public:
  Planner(const Totals& totals, const std::vector<std::string>& variants)
      : totals_(totals), variants_(variants) {}

  std::vector<AnalyzeTotal> Run() {
    Each("raw", "raw", "raw");
    for (const AnalyzeTotal& total : totals_.measures) {
      if (total.method.starts_with("zstd-") && total.of == variants_.front()) {
        Each(total.method + " each", total.method, total.method);
        if (Find("zipnn", variants_.front(), "")) {
          Each("zipnn + " + total.method, "zipnn", total.method);
        }
      }
    }
    Each("huffman each", "huffman", "huffman");
    Chain("prototype chain", "huffman", "prototype");
    Chain("prototype chain with tables", "huffman+tables", "prototype+tables");
    Each("qstore each", "qstore", "qstore");
    if (const auto bits = Find("archive", "", "")) Add("archive, side tensors included", *bits);
    return std::move(plans_);
  }

 private:
  std::optional<double> Find(const std::string& method, const std::string& of,
                             const std::string& given) const {
    for (const AnalyzeTotal& total : totals_.measures) {
      if (total.method == method && total.of == of && total.given == given) return total.bits;
    }
    return std::nullopt;
  }

  void Add(std::string plan, double bits) {
    plans_.push_back({std::move(plan), "", "", totals_.weights, bits});
  }

  // The first variant by one method, the others by another.
  void Each(const std::string& plan, const std::string& first, const std::string& others) {
    double sum = 0;
    for (const std::string& variant : variants_) {
      const auto bits = Find(variant == variants_.front() ? first : others, variant, "");
      if (!bits) return;
      sum += *bits;
    }
    Add(plan, sum);
  }

  // The last variant alone, every other one given the next.
  void Chain(const std::string& plan, const std::string& alone, const std::string& conditional) {
    if (variants_.size() < 2) return;
    const auto last = Find(alone, variants_.back(), "");
    if (!last) return;
    double sum = *last;
    for (size_t i = 0; i + 1 < variants_.size(); ++i) {
      const auto bits = Find(conditional, variants_[i], variants_[i + 1]);
      if (!bits) return;
      sum += *bits;
    }
    Add(plan, sum);
  }

  const Totals& totals_;
  const std::vector<std::string>& variants_;
  std::vector<AnalyzeTotal> plans_;
};

}  // namespace

Totals SumUp(std::string type, const std::vector<const LayerResult*>& layers,
             const std::vector<std::string>& variants) {
  Totals totals;
  totals.type = std::move(type);
  for (const LayerResult* layer : layers) {
    if (!layer->not_analysed.empty()) continue;
    ++totals.layers;
    totals.weights += layer->weights;
    for (const Measure& measure : layer->measures) AddMeasure(*layer, measure, &totals.measures);
  }
  if (!variants.empty()) totals.plans = Planner(totals, variants).Run();
  return totals;
}

std::vector<Totals> SumUpByType(const std::vector<LayerResult>& layers,
                                const std::vector<std::string>& variants) {
  std::map<std::string, std::vector<const LayerResult*>> by_type;
  for (const LayerResult& layer : layers) {
    if (layer.not_analysed.empty()) by_type[layer.type].push_back(&layer);
  }
  std::vector<Totals> totals;
  for (const auto& [type, members] : by_type) totals.push_back(SumUp(type, members, variants));
  return totals;
}

}  // namespace qstore::analyze
