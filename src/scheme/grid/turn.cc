// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/turn.h"

#include <algorithm>

#include "codec/kernels/round_kernels.h"

namespace qstore::scheme {

std::span<const std::byte> GatherRuns(const ParentContent& parent, const Region& need,
                                      std::vector<std::byte>* scratch) {
  if (!parent.is_whole) return parent.bytes;
  scratch->resize(need.size());
  for (uint64_t r = 0; r < need.runs; ++r) {
    std::copy_n(parent.bytes.data() + need.begin + r * need.stride, need.run,
                scratch->data() + r * need.run);
  }
  return *scratch;
}

void TurnColumns(DType dtype, std::span<const std::byte> weights, size_t rows, size_t columns,
                 float* out) {
  // Blocks that lines of the cache hold in both orders.
  constexpr size_t kBlock = 32;
  const codec::RoundKernels& kernels = codec::ActiveRounding();
  const auto* patterns = reinterpret_cast<const uint8_t*>(weights.data());
  float block[kBlock][kBlock];
  for (size_t row = 0; row < rows; row += kBlock) {
    const size_t height = std::min(kBlock, rows - row);
    for (size_t column = 0; column < columns; column += kBlock) {
      const size_t width = std::min(kBlock, columns - column);
      for (size_t r = 0; r < height; ++r) {
        const uint8_t* from = patterns + 2 * ((row + r) * columns + column);
        (dtype == DType::kBF16 ? kernels.widen_bf16 : kernels.widen_fp16)(from, width, block[r]);
      }
      for (size_t c = 0; c < width; ++c) {
        float* to = out + (column + c) * rows + row;
        for (size_t r = 0; r < height; ++r) to[r] = block[r][c];
      }
    }
  }
}

}  // namespace qstore::scheme
