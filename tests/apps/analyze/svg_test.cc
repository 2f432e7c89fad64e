// SPDX-License-Identifier: Apache-2.0
#include "analyze/svg.h"

#include <gtest/gtest.h>

#include <limits>

namespace qstore::analyze {
namespace {

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

TEST(Svg, EscapesWhatWouldBeMarkup) {
  EXPECT_EQ(Escape("a<b> & \"c\"\n\x7f"), "a&lt;b&gt; &amp; &quot;c&quot;??");
}

TEST(Svg, DrawsABarForEveryValueThereIs) {
  const std::string plot = BarPlot("t", {"one", "two"}, {{"a", {1, 2}}, {"b", {kNothing, 4}}}, "u");
  EXPECT_EQ(Count(plot, "class=\"bar\""), 3u);
  EXPECT_NE(plot.find("two, b: 4.00"), std::string::npos);
  EXPECT_EQ(Count(plot, "nan"), 0u);
  // The largest value spans the plot, others their share of it.
  EXPECT_NE(plot.find("width=\"470.0\""), std::string::npos);
  EXPECT_NE(plot.find("width=\"117.5\""), std::string::npos);
}

TEST(Svg, DrawsAPointForEveryValueThereIs) {
  const std::string plot =
      LinePlot("t", {"one", "two", "three"}, {{"a", {1, kNothing, 2}}, {"b", {0, 0, 0}}}, "u");
  EXPECT_EQ(Count(plot, "class=\"point\""), 5u);
  EXPECT_EQ(Count(plot, "class=\"line\""), 2u);
  EXPECT_EQ(Count(plot, "nan"), 0u);
}

TEST(Svg, StandsNoValuesAtAll) {
  EXPECT_EQ(Count(LinePlot("t", {}, {{"a", {}}}, "u"), "nan"), 0u);
  EXPECT_EQ(Count(BarPlot("t", {"x"}, {{"a", {0}}}, "u"), "inf"), 0u);
}

}  // namespace
}  // namespace qstore::analyze
