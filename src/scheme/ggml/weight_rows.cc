// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/weight_rows.h"

#include <algorithm>

#include "base/float_convert.h"

namespace qstore::scheme::ggml {
namespace {

// Of the parent: whole heads where rows change places in them, else the range itself; both in
// whole elements.
WeightRange ParentRange(const GgmlParams& params, uint64_t weight_count, const WeightRange& range) {
  uint64_t unit = DTypeBlock(params.parent_dtype);
  if (params.head_rows != 0) unit = std::max(unit, params.head_rows * params.columns);
  const uint64_t first = range.first / unit * unit;
  const uint64_t end = std::min(weight_count, (range.first + range.count + unit - 1) / unit * unit);
  return {first, end - first};
}

// The row of a head that row `row` of it is in the parent: the first half of a head's rows are the
// even ones, the second half the odd ones.
uint64_t RowInParent(uint64_t row, uint64_t head_rows) {
  return row % 2 * (head_rows / 2) + row / 2;
}

void RoundBy(const GgmlParams& params, std::span<float> weights) {
  if (params.via == Via::kF16) {
    for (float& w : weights) w = base::Fp16ToFloat(base::FloatToFp16(w));
  } else if (params.via == Via::kBF16) {
    for (float& w : weights) w = base::Bf16ToFloat(base::FloatToBf16(w));
  }
  if (params.plus_one) {
    for (float& w : weights) w += 1.0f;
  }
}

}  // namespace

Region RegionOf(const GgmlParams& params, uint64_t weight_count, const WeightRange& range) {
  const WeightRange parent = ParentRange(params, weight_count, range);
  const uint64_t block = DTypeBlock(params.parent_dtype);
  const uint64_t bytes = DTypeBits(params.parent_dtype) / 8;
  return {parent.first / block * bytes, parent.count / block * bytes, 0, 1};
}

void TakeWeights(const GgmlParams& params, uint64_t weight_count, const WeightRange& range,
                 std::span<const std::byte> content, ValueScratch* scratch,
                 std::vector<float>* room, std::span<float> weights) {
  const WeightRange parent = ParentRange(params, weight_count, range);
  if (params.head_rows == 0 && parent.first == range.first && parent.count == range.count) {
    ValuesOf(params.parent_dtype, content, scratch, weights);
    RoundBy(params, weights);
    return;
  }
  room->resize(parent.count);
  ValuesOf(params.parent_dtype, content, scratch, *room);
  if (params.head_rows == 0) {
    std::copy_n(room->begin() + static_cast<ptrdiff_t>(range.first - parent.first), range.count,
                weights.begin());
    RoundBy(params, weights);
    return;
  }
  const uint64_t columns = params.columns;
  for (uint64_t done = 0; done < range.count;) {
    const uint64_t at = range.first + done;
    const uint64_t row = at / columns;
    const uint64_t count = std::min(columns - at % columns, range.count - done);
    const uint64_t head = row / params.head_rows * params.head_rows;
    const uint64_t from =
        (head + RowInParent(row - head, params.head_rows)) * columns + at % columns - parent.first;
    std::copy_n(room->begin() + static_cast<ptrdiff_t>(from), count,
                weights.begin() + static_cast<ptrdiff_t>(done));
    done += count;
  }
  RoundBy(params, weights);
}

}  // namespace qstore::scheme::ggml
