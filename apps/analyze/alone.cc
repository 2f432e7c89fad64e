// SPDX-License-Identifier: Apache-2.0
#include "analyze/alone.h"

#include <algorithm>
#include <array>
#include <vector>

#include "analyze/huffman_cost.h"
#include "analyze/weights.h"
#include "analyze/zstd_size.h"
#include "base/status_macros.h"

namespace qstore::analyze {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

Result<std::vector<uint64_t>> Histogram(const LayerVariant& variant,
                                        const std::function<Status()>& check) {
  std::vector<uint64_t> histogram(size_t{1} << variant.matrix.bits, 0);
  std::vector<uint16_t> symbols;
  const uint64_t step = BandRows(variant);
  const uint64_t rows = variant.matrix.rows;
  for (uint64_t row = 0; row < rows; row += step) {
    QSTORE_TRY(check());
    QSTORE_TRY(ReadSymbols(variant, row, std::min(step, rows - row), &symbols));
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

Result<AloneCost> CostAlone(const LayerVariant& variant, const std::function<Status()>& check) {
  QSTORE_ASSIGN(const auto histogram, Histogram(variant, check));
  const CodeCost whole = CostOfHistogram(histogram, variant.matrix.bits);
  AloneCost cost;
  cost.entropy_bits = whole.entropy_bits;
  if (!variant.quantized()) {
    cost.non_finite = NonFinite(histogram, variant.codes().dtype);
    AddBytes(histogram, &cost);
  } else {
    cost.code_bits = whole.code_bits;
    cost.table_bits = whole.table_bits;
  }
  return cost;
}

Result<uint64_t> ZstdBytes(const LayerVariant& variant, int zstd_level,
                           const std::function<Status()>& check) {
  const CheckpointTensor codes = variant.codes();
  const uint64_t end = codes.begin + codes.byte_size;
  QSTORE_ASSIGN(auto frame, ZstdSize::Begin(zstd_level, codes.byte_size));
  std::vector<std::byte> piece;
  for (uint64_t at = codes.begin; at < end; at += kPieceBytes) {
    QSTORE_TRY(check());
    piece.resize(static_cast<size_t>(std::min(kPieceBytes, end - at)));
    QSTORE_TRY(variant.file().content->Read(at, piece));
    QSTORE_TRY(frame.Add(piece));
  }
  return frame.Finish();
}

}  // namespace qstore::analyze
