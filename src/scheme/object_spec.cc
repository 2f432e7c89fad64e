// SPDX-License-Identifier: Apache-2.0
#include "scheme/object_spec.h"

#include "scheme/tensor_table.h"

namespace qstore::scheme {

uint64_t ChooseChunkElems(uint64_t row_elems, Level level) {
  const uint64_t target = level == Level::kMax ? kMaxLevelChunkElems : kChunkElems;
  if (row_elems >= target) return target;
  // Rows by eights, as some formats pack what belongs to them.
  const uint64_t rows = target / row_elems;
  return (rows > 8 ? rows - rows % 8 : rows) * row_elems;
}

ObjectSpec SpecFor(DType dtype, std::span<const uint64_t> shape, uint64_t byte_size, Level level) {
  ObjectSpec spec;
  spec.byte_size = byte_size;
  const unsigned bits = DTypeBits(dtype);
  if (bits % 8 == 0 && byte_size % (bits / 8) == 0) {
    spec.dtype = dtype;
    // The rows of a convolution are its output channels, which quantizers scale one by one.
    const auto row = shape.size() > 1 ? shape.subspan(1) : shape;
    const uint64_t block = DTypeBlock(dtype);
    // Blocks are of one row of a matrix, of which tensors of several have many.
    const auto innermost = block == 1 || shape.empty() ? row : shape.last(1);
    spec.row_elems = std::max<uint64_t>(1, ElementCount(innermost) / block);
  }
  // Of whatever type: chunks of codes are those of the weights that they are of.
  const bool has_rows = shape.size() > 1;
  // Those of blocks are of as many weights.
  const uint64_t block = DTypeBlock(spec.dtype);
  const Level rows_level = has_rows ? level : Level::kBalanced;
  spec.chunk_elems =
      std::max<uint64_t>(1, ChooseChunkElems(spec.row_elems * block, rows_level) / block);
  return spec;
}

}  // namespace qstore::scheme
