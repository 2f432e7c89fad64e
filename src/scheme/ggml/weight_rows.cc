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

// A side of the tiles in which a matrix is transposed: one lies in the cache in both orders.
constexpr uint64_t kTile = 64;
constexpr uint64_t kAhead = 16;  // Rows of the parent that are on their way to the cache.
// Between columns of a tile: those next to one another do not share the places that a cache has.
constexpr uint64_t kTilePitch = kTile + 4;
static_assert(kTransposingBytes == kTile * kTilePitch * sizeof(float));

// Rows of the child, which are columns of the parent.
WeightRange ChildRows(const GgmlParams& params, const WeightRange& range) {
  const uint64_t first = range.first / params.columns;
  const uint64_t last = (range.first + range.count - 1) / params.columns;
  return {first, last - first + 1};
}

// A part of the child's matrix.
struct Part {
  WeightRange rows;
  WeightRange columns;
};

// Numbers of a transposed parent: `pitch` of them in a row, from that for row `first` of the child.
struct Transposed {
  DType dtype;
  std::span<const std::byte> bytes;
  uint64_t pitch;
  uint64_t first;

  std::span<const std::byte> At(uint64_t row, uint64_t column, uint64_t count) const {
    const uint64_t size = DTypeBits(dtype) / 8;
    return bytes.subspan((column * pitch + row - first) * size, count * size);
  }
  // Runs that are so far apart no processor asks for by itself.
  void Prefetch(uint64_t row, uint64_t column, uint64_t count) const {
    constexpr size_t kLine = 64;
    if (column >= bytes.size() / (pitch * (DTypeBits(dtype) / 8))) return;
    const auto run = At(row, column, count);
    for (size_t at = 0; at < run.size(); at += kLine) __builtin_prefetch(run.data() + at);
  }
};

// Rows of `out` are `pitch` apart. `tile` is room for one.
void TransposeTile(const Transposed& from, const Part& part, uint64_t pitch, ValueScratch* scratch,
                   std::span<float> tile, float* out) {
  for (uint64_t c = 0; c < part.columns.count; ++c) {
    from.Prefetch(part.rows.first, part.columns.first + c + kAhead, part.rows.count);
    ValuesOf(from.dtype, from.At(part.rows.first, part.columns.first + c, part.rows.count), scratch,
             tile.subspan(c * kTilePitch, part.rows.count));
  }
  for (uint64_t r = 0; r < part.rows.count; ++r) {
    for (uint64_t c = 0; c < part.columns.count; ++c) out[r * pitch + c] = tile[c * kTilePitch + r];
  }
}

void TransposePart(const Transposed& from, const Part& part, uint64_t pitch, ValueScratch* scratch,
                   std::span<float> tile, float* out) {
  for (uint64_t c = 0; c < part.columns.count; c += kTile) {
    const uint64_t width = std::min(kTile, part.columns.count - c);
    for (uint64_t r = 0; r < part.rows.count; r += kTile) {
      const uint64_t height = std::min(kTile, part.rows.count - r);
      TransposeTile(from, {{part.rows.first + r, height}, {part.columns.first + c, width}}, pitch,
                    scratch, tile, out + r * pitch + c);
    }
  }
}

// The rest of a row, whole rows, and what there is of the last one.
void TakeTransposed(const GgmlParams& params, uint64_t weight_count, const WeightRange& range,
                    const ParentContent& parent, ValueScratch* scratch, std::vector<float>* room,
                    std::span<float> weights) {
  const uint64_t columns = params.columns;
  const WeightRange rows = ChildRows(params, range);
  Transposed from{params.parent_dtype, parent.bytes, rows.count, rows.first};
  if (parent.is_whole) from = {params.parent_dtype, parent.bytes, weight_count / columns, 0};
  room->resize(std::max<size_t>(room->size(), kTile * kTilePitch));
  for (uint64_t done = 0; done < range.count;) {
    const uint64_t row = (range.first + done) / columns;
    const uint64_t column = (range.first + done) % columns;
    const uint64_t left = range.count - done;
    Part part{{row, left / columns}, {0, columns}};
    if (column != 0 || left < columns) {
      part = {{row, 1}, {column, std::min(columns - column, left)}};
    }
    TransposePart(from, part, columns, scratch, *room, weights.data() + done);
    done += part.rows.count * part.columns.count;
  }
  RoundBy(params, weights);
}

}  // namespace

Region RegionOf(const GgmlParams& params, uint64_t weight_count, const WeightRange& range) {
  const uint64_t bytes = DTypeBits(params.parent_dtype) / 8;
  if (params.is_transposed) {
    const WeightRange rows = ChildRows(params, range);
    const uint64_t pitch = weight_count / params.columns;
    return {rows.first * bytes, rows.count * bytes, pitch * bytes, params.columns};
  }
  const WeightRange parent = ParentRange(params, weight_count, range);
  const uint64_t block = DTypeBlock(params.parent_dtype);
  return {parent.first / block * bytes, parent.count / block * bytes, 0, 1};
}

void TakeWeights(const GgmlParams& params, uint64_t weight_count, const WeightRange& range,
                 const ParentContent& given, ValueScratch* scratch, std::vector<float>* room,
                 std::span<float> weights) {
  if (params.is_transposed) {
    TakeTransposed(params, weight_count, range, given, scratch, room, weights);
    return;
  }
  const std::span<const std::byte> content = given.bytes;
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
