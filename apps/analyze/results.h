// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/status.h"
#include "qstore_apps/analyze.h"

namespace qstore::analyze {

/// A variant of one layer, for the record.
struct VariantNote {
  std::string variant;
  std::string form;
  unsigned bits = 0;
  uint64_t groups = 1;
  uint64_t non_finite = 0;  ///< NaN and infinities among the floats looked at.
};

struct Measure {
  std::string method;
  std::string of;
  std::string given;
  double bits = 0;
  std::string detail;  ///< How it came about: "4096 groups", "cast of 8".
};

/// What is known about a layer once it is done.
struct LayerResult {
  std::string name;
  std::string type;
  std::string not_analysed;  ///< A reason, and nothing below; empty otherwise.
  uint64_t outs = 0;
  uint64_t ins = 0;
  uint64_t weights = 0;  ///< Looked at: of a sample fewer than outs * ins.
  double seconds = 0;
  std::vector<VariantNote> variants;
  std::vector<Measure> measures;
};

/// Totals of the layers of one type, or of all.
struct Totals {
  std::string type;  ///< Empty for all.
  uint64_t layers = 0;
  uint64_t weights = 0;
  std::vector<AnalyzeTotal> measures;  ///< In the order in which layers have them.
  /// All variants together under one plan each, for comparison: "zipnn + zstd-3", ...
  std::vector<AnalyzeTotal> plans;
};

/// Sums the measures of layers. `variants` are the names from the most bits to the fewest.
Totals SumUp(std::string type, const std::vector<const LayerResult*>& layers,
             const std::vector<std::string>& variants);

/// One for each type, ordered by name.
std::vector<Totals> SumUpByType(const std::vector<LayerResult>& layers,
                                const std::vector<std::string>& variants);

/// The content of layers/*.json.
std::string LayerToJson(const LayerResult& layer);
/// Errors: kCorrupt.
Result<LayerResult> LayerFromJson(std::string_view text);

/// The content of summary.json. `run` is the text of run.json.
std::string SummaryToJson(std::string_view run, const Totals& all,
                          const std::vector<Totals>& by_type,
                          const std::vector<LayerResult>& layers);

/// The content of run.json, by which a later run knows whether it may go on.
std::string RunToJson(std::span<const VariantSource> variants, const AnalyzeOptions& options,
                      const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace qstore::analyze
