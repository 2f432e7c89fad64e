// SPDX-License-Identifier: Apache-2.0
#include "analyze/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace qstore::analyze {
namespace {

constexpr double kWidth = 720;
constexpr double kTop = 44;
constexpr double kBottom = 52;
constexpr double kLegendLine = 18;
constexpr double kBarHeight = 13;

std::string Pixels(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

double Largest(const std::vector<Series>& series) {
  double largest = 0;
  for (const Series& one : series) {
    for (const double value : one.values) {
      if (std::isfinite(value)) largest = std::max(largest, value);
    }
  }
  return largest > 0 ? largest : 1;
}

// 1, 2, 2.5 or 5 times a power of ten, about six of them up to `span`.
double NiceStep(double span) {
  const double power = std::pow(10.0, std::floor(std::log10(span / 6)));
  for (const double step : {1.0, 2.0, 2.5, 5.0}) {
    if (step * power >= span / 6) return step * power;
  }
  return 10 * power;
}

// From 0 to `span`, a step apart.
std::vector<double> Ticks(double span) {
  const double step = NiceStep(span);
  const auto count = static_cast<int>(span * 1.0001 / step);
  std::vector<double> ticks;
  for (int i = 0; i <= count; ++i) ticks.push_back(i * step);
  return ticks;
}

// A picture that grows by shapes.
class Picture {
 public:
  Picture(std::string_view title, double height) : title_(Escape(title)), height_(height) {}

  void Text(std::string_view kind, double x, double y, std::string_view anchor,
            std::string_view text) {
    body_ += "<text class=\"" + std::string(kind) + "\" x=\"" + Pixels(x) + "\" y=\"" + Pixels(y) +
             "\" text-anchor=\"" + std::string(anchor) + "\">" + Escape(text) + "</text>";
  }
  void Grid(double x1, double y1, double x2, double y2) {
    body_ += "<line class=\"grid\" x1=\"" + Pixels(x1) + "\" y1=\"" + Pixels(y1) + "\" x2=\"" +
             Pixels(x2) + "\" y2=\"" + Pixels(y2) + "\"/>";
  }
  void Bar(double x, double y, double width, double height, std::string_view color,
           const std::string& hint) {
    body_ += "<rect class=\"bar\" x=\"" + Pixels(x) + "\" y=\"" + Pixels(y) + "\" width=\"" +
             Pixels(std::max(width, 0.5)) + "\" height=\"" + Pixels(height) + "\" fill=\"" +
             std::string(color) + "\"><title>" + Escape(hint) + "</title></rect>";
  }
  void Point(double x, double y, std::string_view color, const std::string& hint) {
    body_ += "<circle class=\"point\" cx=\"" + Pixels(x) + "\" cy=\"" + Pixels(y) +
             "\" r=\"2.5\" fill=\"" + std::string(color) + "\"><title>" + Escape(hint) +
             "</title></circle>";
  }
  void Line(const std::string& points, std::string_view color) {
    body_ += "<polyline class=\"line\" fill=\"none\" stroke=\"" + std::string(color) +
             "\" points=\"" + points + "\"/>";
  }
  // One entry a line, below `y`.
  void Legend(const std::vector<Series>& series, double x, double y) {
    for (size_t i = 0; i < series.size(); ++i) {
      const double at = y + static_cast<double>(i) * kLegendLine;
      body_ += "<rect x=\"" + Pixels(x) + "\" y=\"" + Pixels(at) +
               "\" width=\"10\" height=\"10\" fill=\"" + std::string(Color(i)) + "\"/>";
      Text("label", x + 16, at + 9, "start", series[i].name);
    }
  }
  std::string Render() const {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + Pixels(kWidth) + " " +
           Pixels(height_) + "\" role=\"img\" aria-label=\"" + title_ +
           "\"><text class=\"title\" x=\"12\" y=\"22\">" + title_ + "</text>" + body_ + "</svg>";
  }

 private:
  std::string title_;
  double height_;
  std::string body_;
};

}  // namespace

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return escaped;
}

std::string NumberText(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 10 ? "%.2f" : "%.1f", value);
  return text.data();
}

std::string_view Color(size_t index) {
  constexpr std::array<std::string_view, 10> kColors = {"#2563eb", "#dc2626", "#059669", "#d97706",
                                                        "#7c3aed", "#0891b2", "#db2777", "#65a30d",
                                                        "#475569", "#b45309"};
  return kColors[index % kColors.size()];
}

std::string BarPlot(std::string_view title, const std::vector<std::string>& labels,
                    const std::vector<Series>& series, std::string_view unit) {
  constexpr double kLeft = 190;
  constexpr double kRight = 60;
  const bool legend = series.size() > 1;
  const double group = kBarHeight * static_cast<double>(series.size()) + 10;
  const double plot = group * static_cast<double>(labels.size());
  const double legend_height = legend ? kLegendLine * static_cast<double>(series.size()) : 0;
  Picture picture(title, kTop + plot + kBottom + legend_height);
  const double largest = Largest(series);
  const auto at = [&](double value) { return kLeft + value / largest * (kWidth - kLeft - kRight); };
  for (const double tick : Ticks(largest)) {
    picture.Grid(at(tick), kTop, at(tick), kTop + plot);
    picture.Text("tick", at(tick), kTop + plot + 18, "middle", NumberText(tick));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    const double y = kTop + group * static_cast<double>(i) + 5;
    picture.Text("tick", kLeft - 8, y + (group - 10) / 2 + 4, "end", labels[i]);
    for (size_t s = 0; s < series.size(); ++s) {
      const double value = series[s].values[i];
      if (!std::isfinite(value)) continue;
      const double top = y + kBarHeight * static_cast<double>(s);
      picture.Bar(kLeft, top, at(value) - kLeft, kBarHeight - 2, Color(s),
                  labels[i] + ", " + series[s].name + ": " + NumberText(value));
      picture.Text("note", at(value) + 4, top + 10, "start", NumberText(value));
    }
  }
  picture.Text("axis", (kLeft + kWidth - kRight) / 2, kTop + plot + 38, "middle", unit);
  if (legend) picture.Legend(series, kLeft, kTop + plot + kBottom);
  return picture.Render();
}

std::string LinePlot(std::string_view title, const std::vector<std::string>& labels,
                     const std::vector<Series>& series, std::string_view unit) {
  constexpr double kLeft = 60;
  constexpr double kRight = 24;
  constexpr double kPlot = 300;
  Picture picture(title, kTop + kPlot + kBottom + kLegendLine * static_cast<double>(series.size()));
  const double largest = Largest(series);
  const double last = std::max<double>(1, static_cast<double>(labels.size()) - 1);
  const auto at_x = [&](size_t i) {
    return kLeft + static_cast<double>(i) / last * (kWidth - kLeft - kRight);
  };
  const auto at_y = [&](double value) { return kTop + kPlot * (1 - value / largest); };
  for (const double tick : Ticks(largest)) {
    picture.Grid(kLeft, at_y(tick), kWidth - kRight, at_y(tick));
    picture.Text("tick", kLeft - 8, at_y(tick) + 4, "end", NumberText(tick));
  }
  for (size_t s = 0; s < series.size(); ++s) {
    std::string points;
    for (size_t i = 0; i < labels.size(); ++i) {
      const double value = series[s].values[i];
      if (!std::isfinite(value)) continue;
      points += (points.empty() ? "" : " ") + Pixels(at_x(i)) + "," + Pixels(at_y(value));
    }
    picture.Line(points, Color(s));
    for (size_t i = 0; i < labels.size(); ++i) {
      const double value = series[s].values[i];
      if (!std::isfinite(value)) continue;
      picture.Point(at_x(i), at_y(value), Color(s),
                    labels[i] + ", " + series[s].name + ": " + NumberText(value));
    }
  }
  picture.Text("axis", kWidth / 2, kTop + kPlot + 30, "middle",
               "layers in order; " + std::string(unit));
  picture.Legend(series, kLeft, kTop + kPlot + kBottom);
  return picture.Render();
}

}  // namespace qstore::analyze
