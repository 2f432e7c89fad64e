// SPDX-License-Identifier: Apache-2.0
#include "analyze/weights.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace qstore::analyze {
namespace {

constexpr uint64_t kBandWeights = uint64_t{1} << 20;

}  // namespace

uint64_t BandRows(const LayerVariant& variant) {
  return std::clamp<uint64_t>(kBandWeights / variant.matrix.columns, 1, variant.matrix.rows);
}

Status ReadSymbols(const LayerVariant& variant, uint64_t row, uint64_t rows,
                   std::vector<uint16_t>* symbols) {
  symbols->resize(static_cast<size_t>(rows * variant.matrix.columns));
  QSTORE_TRY(variant.model->ReadCodes(variant.index, row, rows, *symbols));
  if (variant.quantized()) return {};
  for (uint16_t& symbol : *symbols) symbol = OrdinalOf(symbol);
  return {};
}

Result<ScaleTable> ScaleTable::Read(const LayerVariant& variant) {
  QSTORE_ASSIGN(WeightScales read, variant.model->ReadScales(variant.index));
  ScaleTable table;
  table.rows_ = variant.matrix.rows;
  table.groups_ = variant.matrix.groups;
  table.scales_ = std::move(read.patterns);
  table.group_of_ = std::move(read.group_of);

  std::vector<uint32_t> distinct = table.scales_;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<uint64_t> group_size(table.groups_, 0);
  for (const uint32_t group : table.group_of_) ++group_size[group];
  if (table.group_of_.empty()) group_size[0] = variant.matrix.columns;
  table.weights_.assign(distinct.size(), 0);
  for (size_t i = 0; i < table.scales_.size(); ++i) {
    uint32_t& scale = table.scales_[i];
    const auto found = std::lower_bound(distinct.begin(), distinct.end(), scale);
    scale = static_cast<uint32_t>(found - distinct.begin());
    table.weights_[scale] += group_size[i / table.rows_];
  }
  return table;
}

}  // namespace qstore::analyze
