// SPDX-License-Identifier: Apache-2.0
#include "codec/blocks/block_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/float_convert.h"
#include "codec/blocks/block_fields.h"
#include "codec/blocks/k_blocks.h"
#include "codec/blocks/small_blocks.h"

namespace qstore::codec {
namespace {

template <class Block>
void Split(const uint8_t* blocks, size_t count, uint8_t* const* streams) {
  std::array<uint8_t*, std::size(Block::kStreams)> at;
  for (size_t s = 0; s < at.size(); ++s) at[s] = streams[s];
  for (size_t b = 0; b < count; ++b) {
    Block::Split(blocks + b * Block::kBytes, at.data());
    for (size_t s = 0; s < at.size(); ++s) at[s] += Block::kStreams[s].bytes_per_block();
  }
}

template <class Block>
void Merge(const uint8_t* const* streams, size_t count, uint8_t* blocks) {
  std::array<const uint8_t*, std::size(Block::kStreams)> at;
  for (size_t s = 0; s < at.size(); ++s) at[s] = streams[s];
  for (size_t b = 0; b < count; ++b) {
    Block::Merge(at.data(), blocks + b * Block::kBytes);
    for (size_t s = 0; s < at.size(); ++s) at[s] += Block::kStreams[s].bytes_per_block();
  }
}

template <class Block>
constexpr BlockLayout LayoutOf() {
  static_assert(std::size(Block::kStreams) <= kMaxBlockStreams);
  return {Block::kWeights, Block::kBytes, Block::kStreams, Split<Block>, Merge<Block>};
}

// 2 * minimum / step, rounded down, within the places; the last one where there is no step.
uint8_t ZeroPlace(float step, float minimum) {
  constexpr auto kLast = static_cast<float>(kZeroPlaces - 1);
  const float place = 2.0f * (minimum / step);
  if (!(place > 0)) return step > 0 || step < 0 ? 0 : kZeroPlaces - 1;
  return static_cast<uint8_t>(static_cast<int>(place < kLast ? place : kLast));
}

float Half(const uint8_t* stream, size_t i) {
  uint16_t pattern;
  std::memcpy(&pattern, stream + 2 * i, sizeof(pattern));
  return base::Fp16ToFloat(pattern);
}

void ZerosOfMinima(const uint8_t* const* streams, size_t count, uint8_t* places) {
  for (size_t b = 0; b < count; ++b)
    places[b] = ZeroPlace(Half(streams[0], b), -Half(streams[1], b));
}

template <size_t kSubs>
void ZerosOfPairs(const uint8_t* const* streams, size_t count, uint8_t* places) {
  for (size_t b = 0; b < count; ++b) {
    const float step = Half(streams[0], b);
    const float minimum = Half(streams[1], b);
    for (size_t k = kSubs * b; k < kSubs * (b + 1); ++k) {
      places[k] = ZeroPlace(step * static_cast<float>(streams[2][k]),
                            minimum * static_cast<float>(streams[3][k]));
    }
  }
}

template <class Block>
constexpr BlockLayout LayoutWithZeros(void (*zeros)(const uint8_t* const*, size_t, uint8_t*),
                                      unsigned per_sub) {
  BlockLayout layout = LayoutOf<Block>();
  layout.zeros = zeros;
  layout.per_sub = per_sub;
  return layout;
}

struct Row {
  DType dtype;
  BlockLayout layout;
};

constexpr Row kRows[] = {
    {DType::kQ4_0, LayoutOf<BlockQ4_0>()},
    {DType::kQ4_1, LayoutWithZeros<BlockQ4_1>(ZerosOfMinima, 32)},
    {DType::kQ5_0, LayoutOf<BlockQ5_0>()},
    {DType::kQ5_1, LayoutWithZeros<BlockQ5_1>(ZerosOfMinima, 32)},
    {DType::kQ8_0, LayoutOf<BlockQ8_0>()},
    {DType::kQ8_1, LayoutOf<BlockQ8_1>()},
    {DType::kQ2K, LayoutWithZeros<BlockQ2K>(ZerosOfPairs<16>, 16)},
    {DType::kQ3K, LayoutOf<BlockQ3K>()},
    {DType::kQ4K, LayoutWithZeros<BlockQ4K>(ZerosOfPairs<8>, 32)},
    {DType::kQ5K, LayoutWithZeros<BlockQ5K>(ZerosOfPairs<8>, 32)},
    {DType::kQ6K, LayoutOf<BlockQ6K>()},
    {DType::kQ8K, LayoutOf<BlockQ8K>()},
    {DType::kIq2Xxs, LayoutOf<BlockIq2Xxs>()},
    {DType::kIq2Xs, LayoutOf<BlockIq2Xs>()},
    {DType::kIq2S, LayoutOf<BlockIq2S>()},
    {DType::kIq3Xxs, LayoutOf<BlockIq3Xxs>()},
    {DType::kIq3S, LayoutOf<BlockIq3S>()},
    {DType::kIq1S, LayoutOf<BlockIq1S>()},
    {DType::kIq1M, LayoutOf<BlockIq1M>()},
    {DType::kIq4Nl, LayoutOf<BlockQ4_0>()},
    {DType::kIq4Xs, LayoutOf<BlockIq4Xs>()},
    {DType::kTq1_0, LayoutOf<BlockTq1_0>()},
    {DType::kTq2_0, LayoutOf<BlockTq2_0>()},
    {DType::kMxfp4, LayoutOf<BlockMxfp4>()},
    {DType::kNvfp4, LayoutOf<BlockNvfp4>()},
    {DType::kQ1_0, LayoutOf<BlockQ1_0>()},
    {DType::kQ2_0, LayoutOf<BlockQ2_0>()},
};

}  // namespace

const BlockLayout* LayoutOfBlocks(DType dtype) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [dtype](const Row& row) { return row.dtype == dtype; });
  return found == std::end(kRows) ? nullptr : &found->layout;
}

}  // namespace qstore::codec
