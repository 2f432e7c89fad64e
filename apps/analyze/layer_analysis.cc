// SPDX-License-Identifier: Apache-2.0
#include "analyze/layer_analysis.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "analyze/alone.h"
#include "analyze/conditional.h"
#include "analyze/extract.h"
#include "analyze/stored.h"
#include "base/status_macros.h"

namespace qstore::analyze {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t WantedRows(const AnalyzeOptions& options, uint64_t rows) {
  if (options.sample_rows != 0) return options.sample_rows;
  return static_cast<uint64_t>(std::ceil(options.sample * static_cast<double>(rows)));
}

class LayerAnalyzer {
 public:
  LayerAnalyzer(const Layer& layer, const LayerContext& context,
                const std::filesystem::path& scratch)
      : layer_(layer), context_(context), options_(*context.options), scratch_(scratch) {}

  Result<LayerResult> Run() {
    const auto start = Clock::now();
    result_.name = layer_.name;
    result_.type = LayerType(layer_.name);
    result_.not_analysed = layer_.not_analysed;
    if (!layer_.not_analysed.empty()) return std::move(result_);
    result_.outs = layer_.variants[0].matrix.rows;
    result_.ins = layer_.variants[0].matrix.columns;
    QSTORE_TRY(Extract());
    CountSteps();
    for (size_t i = 0; i < layers_.size(); ++i) QSTORE_TRY(Alone(i));
    if (options_.conditional) QSTORE_TRY(Conditionals());
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return std::move(result_);
  }

 private:
  // A variant with fewer bits that explains one with more.
  struct Pair {
    size_t target;
    size_t given;
  };

  Status Extract() {
    const auto rows = SampleRows(result_.outs, WantedRows(options_, result_.outs));
    for (size_t i = 0; i < layer_.variants.size(); ++i) {
      const std::string& variant = context_.variants[i].name;
      copies_.push_back({variant, scratch_ / variant});
      QSTORE_ASSIGN(LayerVariant copy, ExtractLayer(layer_.variants[i], rows, copies_.back().path));
      layers_.push_back(std::move(copy));
    }
    result_.weights = layers_[0].weights();
    return {};
  }

  bool Wanted(size_t target, size_t given) const {
    const WeightMatrix& high = layers_[target].matrix;
    if (!layers_[given].quantized() || high.bits <= layers_[given].matrix.bits) return false;
    const auto& pairs = options_.pairs;
    return pairs.empty() || std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) {
             return pair.first == copies_[target].name && pair.second == copies_[given].name;
           });
  }

  std::vector<Pair> Pairs() const {
    std::vector<Pair> pairs;
    for (size_t target = 0; target < layers_.size(); ++target) {
      for (size_t given = 0; given < layers_.size(); ++given) {
        if (Wanted(target, given)) pairs.push_back({target, given});
      }
    }
    return pairs;
  }

  void CountSteps() {
    const size_t each = 1 + options_.zstd.size() + (options_.zipnn ? 1 : 0);
    const size_t archives = 2 * Pairs().size() + layers_.size() + 1;
    steps_ = layers_.size() * each + (options_.conditional ? archives : 0);
  }

  // One of the steps of this layer is done.
  Status Step() {
    const uint64_t bytes = layer_.source_bytes();
    const uint64_t before = bytes * done_ / steps_;
    return context_.advance(bytes * ++done_ / steps_ - before);
  }

  void Add(std::string method, size_t of, double bits, std::string detail = "") {
    result_.measures.push_back({std::move(method), copies_[of].name, "", bits, std::move(detail)});
  }

  Status Alone(size_t i) {
    const LayerVariant& layer = layers_[i];
    QSTORE_ASSIGN(const AloneCost cost, CostAlone(layer, check_));
    const WeightMatrix& matrix = layer.matrix;
    result_.variants.push_back({copies_[i].name,
                                layer.quantized() ? std::string(matrix.scheme) : "float",
                                matrix.bits, matrix.groups, cost.non_finite});
    Add("raw", i, static_cast<double>(layer.weights() * matrix.bits));
    Add("entropy", i, cost.entropy_bits);
    if (options_.huffman) {
      const auto code_bits = static_cast<double>(cost.code_bits);
      Add("huffman", i, code_bits);
      Add("huffman+tables", i, code_bits + static_cast<double>(cost.table_bits));
    }
    QSTORE_TRY(Step());
    for (const int zstd : options_.zstd) {
      QSTORE_ASSIGN(const uint64_t bytes, ZstdBytes(layer, zstd, check_));
      Add("zstd-" + std::to_string(zstd), i, 8 * static_cast<double>(bytes));
      QSTORE_TRY(Step());
    }
    return options_.zipnn ? Zipnn(i) : Status();
  }

  Status Zipnn(size_t i) {
    if (!layers_[i].quantized()) {
      const CheckpointTensor weights = layers_[i].codes();
      const std::lock_guard<std::mutex> lock(*context_.one_zipnn);
      QSTORE_ASSIGN(const uint64_t bytes, options_.zipnn(layers_[i].file().path, weights.begin,
                                                         weights.byte_size, weights.dtype));
      Add("zipnn", i, 8 * static_cast<double>(bytes));
    }
    return Step();
  }

  Status Conditionals() {
    const std::vector<Pair> pairs = Pairs();
    for (const Pair& pair : pairs) {
      QSTORE_TRY(Given(pair));
      QSTORE_TRY(Step());
      QSTORE_ASSIGN(const auto stored, Store({copies_[pair.target], copies_[pair.given]}));
      result_.measures.push_back({"qstore", copies_[pair.target].name, copies_[pair.given].name,
                                  8 * static_cast<double>(stored[0].weight_bytes), stored[0].how});
      QSTORE_TRY(Step());
    }
    for (size_t i = 0; i < layers_.size(); ++i) {
      QSTORE_ASSIGN(const auto stored, Store({copies_[i]}));
      Add("qstore", i, 8 * static_cast<double>(stored[0].weight_bytes));
      QSTORE_TRY(Step());
    }
    QSTORE_TRY(Archive());
    return Step();
  }

  // All variants in one.
  Status Archive() {
    QSTORE_ASSIGN(const auto stored, Store(copies_));
    uint64_t all = 0;
    for (size_t i = 0; i < stored.size(); ++i) {
      Add("archive", i, 8 * static_cast<double>(stored[i].weight_bytes), stored[i].how);
      all += stored[i].weight_bytes + stored[i].side_bytes;
    }
    result_.measures.push_back({"archive", "", "", 8 * static_cast<double>(all), ""});
    return {};
  }

  Status Given(const Pair& pair) {
    QSTORE_ASSIGN(const ConditionalCost cost,
                  CostGiven(layers_[pair.target], layers_[pair.given], context_.memory, check_));
    const auto code_bits = static_cast<double>(cost.code_bits);
    const std::string detail = std::to_string(cost.groups) + " groups, " +
                               std::to_string(cost.scales) + " different scales";
    const std::string& of = copies_[pair.target].name;
    const std::string& given = copies_[pair.given].name;
    result_.measures.push_back({"entropy", of, given, cost.entropy_bits, detail});
    result_.measures.push_back({"prototype", of, given, code_bits, detail});
    result_.measures.push_back(
        {"prototype+tables", of, given, code_bits + static_cast<double>(cost.table_bits), detail});
    return {};
  }

  Result<std::vector<StoredVariant>> Store(const std::vector<VariantSource>& copies) {
    PackOptions pack;
    pack.level = options_.level;
    pack.threads = 1;
    pack.memory_limit = context_.memory;
    pack.progress = [this](const Progress&) {
      stopped_ = check_();
      return stopped_.ok();
    };
    auto stored = StoredSizes(copies, scratch_ / "layer.qstore", pack);
    if (!stopped_.ok()) return stopped_;
    return stored;
  }

  const Layer& layer_;
  const LayerContext& context_;
  const AnalyzeOptions& options_;
  const std::filesystem::path& scratch_;
  const std::function<Status()> check_ = [this] { return context_.advance(0); };
  LayerResult result_;
  std::vector<VariantSource> copies_;
  std::vector<LayerVariant> layers_;  // By variant, in the copies.
  size_t steps_ = 1;
  size_t done_ = 0;
  Status stopped_;
};

}  // namespace

Result<LayerResult> AnalyzeLayer(const Layer& layer, const LayerContext& context,
                                 const std::filesystem::path& scratch) {
  auto result = LayerAnalyzer(layer, context, scratch).Run();
  // Bad content, such as a group out of range, is a property of the layer.
  if (result.ok() || result.status().code() != ErrorCode::kInvalidArgument) return result;
  LayerResult refused;
  refused.name = layer.name;
  refused.type = LayerType(layer.name);
  refused.not_analysed = result.status().message();
  return refused;
}

}  // namespace qstore::analyze
