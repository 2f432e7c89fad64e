// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/blocks/blocks.h"
#include "codec/plane.h"
#include "qstore/status.h"
#include "scheme/ggml/block_grid.h"
#include "scheme/grid/near_coder.h"

// Blocks given the weights that they are made of: scales are stored, codes follow from them but for
// exceptions. docs/format-ggml.md, "Blocks given weights".

namespace qstore::scheme::ggml {

struct BlockCoderScratch {
  codec::BlockScratch blocks;
  codec::BlockScratch made;  ///< What scales are told from.
  SubScales scales;
  std::vector<uint8_t> nearest;
  std::vector<uint8_t> places;
  std::vector<uint8_t> plane;
  NearScratch near;
  std::vector<std::byte> near_bytes;
};

/// Bytes that a BlockCoderScratch takes for so many weights.
uint64_t BlockCoderBytes(uint64_t weights);

/// Weights by their place in a chunk, some at a time: as many as asked for, from `first` on, until
/// the next call.
using WeightReader = std::function<std::span<const float>(size_t first, size_t count)>;

/// Blocks of a type with a grid, or of one without codes: these are stored as they are.
class BlockCoder {
 public:
  BlockCoder(DType dtype, BlockCoderScratch* scratch);

  /// Appends `blocks`, made of `weights`. `made`, empty or as many blocks, tells scales.
  void Encode(const WeightReader& weights, std::span<const std::byte> made,
              std::span<const std::byte> blocks, codec::Effort effort, std::vector<std::byte>* out);
  /// The inverse; fills `blocks`. Errors: kCorrupt.
  Status Decode(base::ByteReader* payload, const WeightReader& weights,
                std::span<const std::byte> made, std::span<std::byte> blocks);

 private:
  void EncodeScales(bool is_told, size_t count, codec::Effort effort, std::vector<std::byte>* out);
  Status DecodeScales(base::ByteReader* payload, bool is_told, size_t count);
  void EncodeCodes(const WeightReader& weights, size_t count, bool is_told, codec::Effort effort,
                   std::vector<std::byte>* out);
  void ListCodes(size_t count, std::vector<std::byte>* out);
  Status DecodeCodes(base::ByteReader* payload, const WeightReader& weights, size_t count,
                     bool is_told);
  void FindNearest(const WeightReader& weights, size_t count, bool is_told, bool with_places,
                   uint8_t* nearest);
  bool HasScalesMade(size_t block) const;

  const codec::BlockLayout& layout_;
  const BlockGrid* grid_;
  BlockCoderScratch& scratch_;
};

}  // namespace qstore::scheme::ggml
