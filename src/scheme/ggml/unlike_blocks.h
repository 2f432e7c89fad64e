// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/plane.h"
#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/ggml/block_coder.h"

// Blocks of which most are as they are made of weights: which are not, and what these are.
// docs/format-ggml.md, "Blocks given weights".

namespace qstore::scheme::ggml {

struct UnlikeScratch {
  std::vector<uint8_t> flags;
  std::vector<float> weights;
  std::vector<std::byte> made;
  std::vector<std::byte> blocks;
  BlockCoderScratch coder;
};

/// Appends the blocks of `raw` that differ from those of `made`. REQUIRES: there are such; all are
/// made of `weights`.
void EncodeUnlike(DType dtype, std::span<const float> weights, std::span<const std::byte> made,
                  std::span<const std::byte> raw, codec::Effort effort, UnlikeScratch* scratch,
                  std::vector<std::byte>* out);
/// The inverse: puts them into `blocks`, which are those made. Errors: kCorrupt.
Status DecodeUnlike(DType dtype, base::ByteReader* payload, std::span<const float> weights,
                    UnlikeScratch* scratch, std::span<std::byte> blocks);

}  // namespace qstore::scheme::ggml
