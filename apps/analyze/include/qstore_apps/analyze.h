// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/level.h"
#include "qstore/pack.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// Compresses bytes [offset, offset + size) of a file, floats of `dtype`, by ZipNN and returns how
/// many bytes that takes. ZipNN is a Python library, so the caller brings it. Called from one
/// thread at a time.
using ZipnnSize = std::function<Result<uint64_t>(const std::filesystem::path& file, uint64_t offset,
                                                 uint64_t size, DType dtype)>;

struct AnalyzeOptions {
  bool huffman = true;          ///< Each variant alone, a Huffman code a layer (a byte for floats).
  std::vector<int> zstd = {3};  ///< Each variant alone, by zstd at these levels, as it is stored.
  ZipnnSize zipnn;              ///< When set: variants of floats alone, by ZipNN.
  bool conditional = true;      ///< Variants given one of fewer bits, and all in an archive.
  Level level = Level::kBalanced;  ///< Of that archive.
  /// The pairs (target, given) of `conditional`, by names of variants; empty for all there are.
  std::vector<std::pair<std::string, std::string>> pairs;
  /// Patterns of layer names, `*` for any run of characters and `?` for one; empty for all.
  std::vector<std::string> layers;
  double sample = 1;         ///< The share of the rows of every layer to look at.
  uint64_t sample_rows = 0;  ///< When not 0: about so many rows of every layer instead.
  unsigned threads = 0;      ///< Layers at once; 0: as many as there are processors.
  /// Aim for the memory in use, in bytes, for all threads together.
  uint64_t memory_limit = uint64_t{1} << 30;
  bool restart = false;  ///< Begin anew where the output holds an analysis, of whatever kind.
  /// In bytes of the layers that were not yet analysed.
  ProgressCallback progress;
};

/// What some method makes of a variant, over all layers analysed.
struct AnalyzeTotal {
  /// "raw", "entropy", "huffman", "huffman+tables", "zstd-3", "zipnn", "qstore", with `given` also
  /// "prototype" and "prototype+tables", and "archive".
  std::string method;
  std::string of;     ///< The variant; empty for all variants together.
  std::string given;  ///< The variant that is known; empty for none.
  uint64_t weights = 0;
  double bits = 0;
  double bits_per_weight() const { return weights == 0 ? 0 : bits / static_cast<double>(weights); }
};

struct AnalyzeReport {
  uint64_t analysed = 0;      ///< Layers.
  uint64_t resumed = 0;       ///< Those of them that an earlier run had analysed.
  uint64_t not_analysed = 0;  ///< Layers, each with its reason in summary.json.
  std::vector<AnalyzeTotal> totals;
  /// All variants together, under one way to keep them each: "raw", "zstd-3 each",
  /// "zipnn + zstd-3", "huffman each", "prototype chain", "archive, side tensors included", ...
  std::vector<AnalyzeTotal> plans;
};

/// Tells what one to three precisions of a model cost under several methods, layer by layer, and
/// leaves in the directory `output`:
///   layers/*.json   one file a layer, written as soon as it is done
///   summary.json    totals, totals by type of layer, all layers
///   analyze.log     what happened when
/// Called again with the same models and options after an interruption, it goes on with the layers
/// that are missing. Temporary copies of the layers at work lie in `output` too.
///
/// A variant holds floats (BF16, F16), or weights that a scheme of the library quantizes and finds
/// in it (<qstore/checkpoint.h>). The figures are those of the weights: scales and zero points are
/// left out but for "qstore" of all variants together. "prototype" is the method of the research
/// prototype's scripts: a Huffman code for the weights of each pair of a scale and a quantized
/// integer, its tables not counted. "entropy" is the empirical one, given pairs likewise, below
/// which no such code comes. "qstore" is what Pack stores for a variant alone or with the given
/// one, "archive" what it stores when it has all variants.
///
/// Errors: kInvalidArgument (variants without common layers, options), kAlreadyExists (`output`
/// holds something else, or another analysis and not `restart`; or is being written), kCorrupt,
/// kNotFound, kIo, kSourceChanged, kCancelled. Layers already done stay in `output`.
/// Thread-safety: may run several times at once with different outputs.
Result<AnalyzeReport> Analyze(std::span<const VariantSource> variants,
                              const std::filesystem::path& output, const AnalyzeOptions& options);

}  // namespace qstore::analyze
