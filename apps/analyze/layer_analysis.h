// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>

#include "analyze/layers.h"
#include "analyze/results.h"
#include "qstore/status.h"
#include "qstore_apps/analyze.h"

namespace qstore::analyze {

/// What the analysis of every layer shares.
struct LayerContext {
  std::span<const VariantSource> variants;
  const AnalyzeOptions* options = nullptr;
  uint64_t memory = 0;              ///< For one layer, in bytes.
  std::mutex* one_zipnn = nullptr;  ///< Held while options->zipnn runs.
  /// Counts bytes of source as done; its error ends the work. Called from many threads.
  std::function<Status(uint64_t bytes)> advance;
};

/// Does one layer. `scratch` is a directory of its own, for copies of the layer, which the caller
/// removes. What is wrong with the layer itself is noted in the result.
/// Errors: those of reading and writing files, of Pack, of ZipNN and of `advance`.
Result<LayerResult> AnalyzeLayer(const Layer& layer, const LayerContext& context,
                                 const std::filesystem::path& scratch);

}  // namespace qstore::analyze
