// SPDX-License-Identifier: Apache-2.0
#include "print_estimate.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "json_writer.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

// "1,234,567".
std::string Grouped(uint64_t bytes) {
  std::string text = std::to_string(bytes);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string LabelOf(const ArrangementEstimate& arrangement) {
  std::string label;
  for (const std::string& name : arrangement.direct) {
    label += (label.empty() ? "--direct " : " --direct ") + Printable(name);
  }
  return label.empty() ? "default" : label;
}

struct Widths {
  int label = static_cast<int>(std::string("arrangement").size());
  int name = static_cast<int>(std::string("archive").size());
};

Widths WidthsOf(const PackEstimate& estimate) {
  Widths widths;
  const auto widen = [](int* width, const std::string& text) {
    *width = std::max(*width, static_cast<int>(text.size()));
  };
  for (const ArrangementEstimate& arrangement : estimate.arrangements) {
    widen(&widths.label, LabelOf(arrangement));
    for (const VariantEstimate& variant : arrangement.variants) {
      widen(&widths.name, Printable(variant.name));
    }
  }
  return widths;
}

struct Row {
  std::string label, name, files, own, load;
};

void PrintRow(const Widths& widths, const Row& row) {
  std::printf("%-*s  %-*s %17s %17s %17s\n", widths.label, row.label.c_str(), widths.name,
              row.name.c_str(), row.files.c_str(), row.own.c_str(), row.load.c_str());
}

}  // namespace

void PrintEstimate(const PackEstimate& estimate) {
  const Widths widths = WidthsOf(estimate);
  std::printf("Bytes, from samples. The first arrangement is that of the options given.\n");
  PrintRow(widths, {"arrangement", "variant", "of files", "stored for it", "read by a load"});
  for (const ArrangementEstimate& arrangement : estimate.arrangements) {
    std::string label = LabelOf(arrangement);
    for (const VariantEstimate& variant : arrangement.variants) {
      PrintRow(widths, {label, Printable(variant.name), Grouped(variant.source_bytes),
                        Grouped(variant.own_bytes), Grouped(variant.load_bytes)});
      label.clear();
    }
    PrintRow(widths, {"", "archive", Grouped(estimate.source_bytes),
                      Grouped(arrangement.stored_bytes), "-"});
  }
}

void PrintEstimateAsJson(const PackEstimate& estimate, double seconds) {
  JsonWriter document;
  document.BeginObject();
  document.Add("source_bytes", estimate.source_bytes);
  document.Add("seconds", seconds);
  document.BeginArray("arrangements");
  for (const ArrangementEstimate& arrangement : estimate.arrangements) {
    document.BeginObject();
    document.Add("direct", arrangement.direct);
    document.Add("stored_bytes", arrangement.stored_bytes);
    document.BeginArray("variants");
    for (const VariantEstimate& variant : arrangement.variants) {
      document.BeginObject();
      document.Add("name", variant.name);
      document.Add("source_bytes", variant.source_bytes);
      document.Add("own_bytes", variant.own_bytes);
      document.Add("load_bytes", variant.load_bytes);
      document.End();
    }
    document.End();
    document.End();
  }
  document.End();
  document.End();
  PrintJson(document);
}

}  // namespace qstore::cli
