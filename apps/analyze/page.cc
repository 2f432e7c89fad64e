// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "analyze/results.h"
#include "analyze/svg.h"

namespace qstore::analyze {
namespace {

constexpr std::string_view kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #111827; background: #fff;
       max-width: 1500px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(560px, 1fr)); gap: 1rem;
         align-items: start; }
svg { border: 1px solid #e5e7eb; border-radius: 6px; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #374151; }
svg text.title { font-size: 15px; font-weight: 600; fill: #111827; }
svg text.note { font-size: 10px; } svg .grid { stroke: #eef0f3; } svg .line { stroke-width: 1.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 3px 12px; text-align: right; border-bottom: 1px solid #e5e7eb;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
li { max-width: 60rem; }
)";

constexpr std::string_view kUnit = "bits per weight";
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// A variant, alone or given another: what one plot is about.
struct Subject {
  std::string of;
  std::string given;
  bool operator==(const Subject&) const = default;
  std::string title() const { return given.empty() ? of + " alone" : of + " given " + given; }
};

std::vector<Subject> Subjects(const Totals& all) {
  std::vector<Subject> subjects;
  for (const AnalyzeTotal& total : all.measures) {
    const Subject subject{total.of, total.given};
    if (total.of.empty()) continue;
    if (std::find(subjects.begin(), subjects.end(), subject) == subjects.end()) {
      subjects.push_back(subject);
    }
  }
  return subjects;
}

// One empty series for each method that says something about the subject by itself.
std::vector<Series> SeriesOf(const Totals& all, const Subject& subject) {
  std::vector<Series> series;
  for (const AnalyzeTotal& total : all.measures) {
    const bool plotted_elsewhere = total.method == "raw" || total.method == "archive";
    if (subject == Subject{total.of, total.given} && !plotted_elsewhere) {
      series.push_back({total.method, {}});
    }
  }
  return series;
}

double Find(const std::vector<AnalyzeTotal>& totals, const std::string& method,
            const Subject& subject) {
  for (const AnalyzeTotal& total : totals) {
    if (total.method == method && subject == Subject{total.of, total.given}) {
      return total.bits_per_weight();
    }
  }
  return kNothing;
}

double Find(const LayerResult& layer, const std::string& method, const Subject& subject) {
  for (const Measure& measure : layer.measures) {
    if (measure.method == method && subject == Subject{measure.of, measure.given}) {
      return measure.bits / static_cast<double>(layer.weights);
    }
  }
  return kNothing;
}

std::string PlansPlot(const Totals& all) {
  std::vector<std::string> labels;
  std::vector<Series> series = {{"all variants", {}}};
  for (const AnalyzeTotal& plan : all.plans) {
    labels.push_back(plan.method);
    series[0].values.push_back(plan.bits_per_weight());
  }
  return labels.empty() ? "" : BarPlot("All variants together", labels, series, kUnit);
}

std::string ArchivePlot(const Totals& all) {
  std::vector<std::string> labels;
  std::vector<Series> series = {{"raw", {}}, {"archive", {}}};
  for (const AnalyzeTotal& total : all.measures) {
    if (total.method != "archive" || total.of.empty()) continue;
    labels.push_back(total.of);
    series[0].values.push_back(Find(all.measures, "raw", {total.of, ""}));
    series[1].values.push_back(total.bits_per_weight());
  }
  return labels.empty() ? "" : BarPlot("In one archive, by variant", labels, series, kUnit);
}

std::string MethodsPlot(const Totals& all, const Subject& subject) {
  std::vector<std::string> labels;
  std::vector<Series> series = {{subject.title(), {}}};
  for (const Series& method : SeriesOf(all, subject)) {
    labels.push_back(method.name);
    series[0].values.push_back(Find(all.measures, method.name, subject));
  }
  return BarPlot(subject.title() + ", by method", labels, series, kUnit);
}

std::string TypesPlot(const Totals& all, const std::vector<Totals>& by_type,
                      const Subject& subject) {
  std::vector<std::string> labels;
  std::vector<Series> series = SeriesOf(all, subject);
  for (const Totals& type : by_type) {
    labels.push_back(type.type);
    for (Series& method : series) {
      method.values.push_back(Find(type.measures, method.name, subject));
    }
  }
  return BarPlot(subject.title() + ", by type of layer", labels, series, kUnit);
}

std::string LayersPlot(const Totals& all, const std::vector<LayerResult>& layers,
                       const Subject& subject) {
  std::vector<std::string> labels;
  std::vector<Series> series = SeriesOf(all, subject);
  for (const LayerResult& layer : layers) {
    if (!layer.not_analysed.empty()) continue;
    labels.push_back(layer.name);
    for (Series& method : series) method.values.push_back(Find(layer, method.name, subject));
  }
  return LinePlot(subject.title() + ", by layer", labels, series, kUnit);
}

std::string TotalsTable(const Totals& all) {
  std::string rows;
  for (const auto* list : {&all.plans, &all.measures}) {
    for (const AnalyzeTotal& total : *list) {
      const std::string of = total.of.empty() ? "all variants" : total.of;
      rows += "<tr><td>" + Escape(total.method) + "</td><td>" + Escape(of) + "</td><td>" +
              Escape(total.given) + "</td><td>" + std::to_string(total.weights) + "</td><td>" +
              NumberText(total.bits_per_weight()) + "</td></tr>";
    }
  }
  return "<h2>Totals</h2><div class=\"scroll\"><table><tr><th>method</th><th>of</th>"
         "<th>given</th><th>weights</th><th>bits per weight</th></tr>" +
         rows + "</table></div>";
}

std::string Reasons(const std::vector<LayerResult>& layers) {
  std::string items;
  for (const LayerResult& layer : layers) {
    if (layer.not_analysed.empty()) continue;
    items += "<li>" + Escape(layer.name) + ": " + Escape(layer.not_analysed) + "</li>";
  }
  return items.empty() ? "" : "<h2>Not analysed</h2><ul>" + items + "</ul>";
}

}  // namespace

std::string ReportPage(std::span<const VariantSource> variants, const Totals& all,
                       const std::vector<Totals>& by_type, const std::vector<LayerResult>& layers) {
  std::string names;
  for (const VariantSource& variant : variants) {
    names += (names.empty() ? "" : ", ") + Escape(variant.name + " = " + variant.path.string());
  }
  std::string plots = PlansPlot(all) + ArchivePlot(all);
  for (const Subject& subject : Subjects(all)) {
    plots += MethodsPlot(all, subject) + TypesPlot(all, by_type, subject) +
             LayersPlot(all, layers, subject);
  }
  std::string page =
      "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<link rel=\"icon\" href=\"data:,\"><title>QStore analysis</title><style>";
  page += kStyle;
  page += "</style></head><body><h1>QStore analysis</h1><p>" + names + "; " +
          std::to_string(all.layers) + " layers, " + std::to_string(all.weights) +
          " weights</p><div class=\"plots\">" + plots + "</div>" + TotalsTable(all) +
          Reasons(layers) + "</body></html>\n";
  return page;
}

}  // namespace qstore::analyze
