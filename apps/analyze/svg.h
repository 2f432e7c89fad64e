// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qstore::analyze {

/// `text` as HTML and SVG have it between tags and in attributes.
std::string Escape(std::string_view text);

/// "3.41": the value with three digits that count.
std::string NumberText(double value);

/// The colour of entry `index` of a legend.
std::string_view Color(size_t index);

/// What one method has to say at every place of a plot; NaN where it says nothing.
struct Series {
  std::string name;
  std::vector<double> values;
};

/// Both have one value of each series for every label, and a legend. Values are 0 or more.
/// Bars from left to right, those of one label together.
std::string BarPlot(std::string_view title, const std::vector<std::string>& labels,
                    const std::vector<Series>& series, std::string_view unit);
/// A line for each series; labels are shown where the pointer is.
std::string LinePlot(std::string_view title, const std::vector<std::string>& labels,
                     const std::vector<Series>& series, std::string_view unit);

}  // namespace qstore::analyze
