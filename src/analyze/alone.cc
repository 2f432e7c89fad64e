// SPDX-License-Identifier: Apache-2.0
#include "analyze/alone.h"

#include <algorithm>
#include <array>
#include <vector>

#include "analyze/huffman_cost.h"
#include "analyze/level_reader.h"
#include "base/status_macros.h"
#include "codec/zstd_size.h"

namespace qstore::analyze {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

Result<std::vector<uint64_t>> Histogram(const Level& level, const std::function<Status()>& check) {
  std::vector<uint64_t> histogram(size_t{1} << level.bits, 0);
  std::vector<uint16_t> symbols;
  LevelReader reader(&level);
  const uint64_t step = LevelReader::BandRows(level);
  for (uint64_t row = 0; row < level.outs; row += step) {
    QSTORE_TRY(check());
    QSTORE_TRY(reader.Read(row, std::min(step, level.outs - row), &symbols));
    for (const uint16_t symbol : symbols) ++histogram[symbol];
  }
  return histogram;
}

uint64_t NonFinite(const std::vector<uint64_t>& histogram, DType dtype) {
  const uint16_t infinity = dtype == DType::kF16 ? 0x7c00 : 0x7f80;
  uint64_t count = 0;
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    if ((pattern & infinity) == infinity)
      count += histogram[OrdinalOf(static_cast<uint16_t>(pattern))];
  }
  return count;
}

void AddBytes(const std::vector<uint64_t>& histogram, AloneCost* cost) {
  std::array<uint64_t, 256> low{};
  std::array<uint64_t, 256> high{};
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const uint64_t count = histogram[OrdinalOf(static_cast<uint16_t>(pattern))];
    low[pattern & 0xff] += count;
    high[pattern >> 8] += count;
  }
  for (const auto& bytes : {low, high}) {
    const CodeCost code = CostOfHistogram(bytes, 8);
    cost->code_bits += code.code_bits;
    cost->table_bits += code.table_bits;
  }
}

}  // namespace

Result<AloneCost> CostAlone(const Level& level, const std::function<Status()>& check) {
  QSTORE_ASSIGN(const auto histogram, Histogram(level, check));
  const CodeCost whole = CostOfHistogram(histogram, level.bits);
  AloneCost cost;
  cost.entropy_bits = whole.entropy_bits;
  if (level.form == LevelForm::kFloat) {
    cost.non_finite = NonFinite(histogram, level.weight.tensor.dtype);
    AddBytes(histogram, &cost);
  } else {
    cost.code_bits = whole.code_bits;
    cost.table_bits = whole.table_bits;
  }
  return cost;
}

Result<uint64_t> ZstdBytes(const Level& level, int zstd_level,
                           const std::function<Status()>& check) {
  const TensorAt& weight = level.weight;
  QSTORE_ASSIGN(auto frame, codec::ZstdSize::Begin(zstd_level, weight.byte_size()));
  std::vector<std::byte> piece;
  for (uint64_t at = weight.tensor.begin; at < weight.tensor.end; at += kPieceBytes) {
    QSTORE_TRY(check());
    piece.resize(static_cast<size_t>(std::min(kPieceBytes, weight.tensor.end - at)));
    QSTORE_TRY(weight.file->Read(at, piece));
    QSTORE_TRY(frame.Add(piece));
  }
  return frame.Finish();
}

}  // namespace qstore::analyze
