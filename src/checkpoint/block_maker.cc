// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/float_mode.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "codec/blocks/blocks.h"
#include "qstore/blocks.h"
#include "scheme/ggml/block_values.h"
#include "scheme/ggml/search/search.h"

namespace qstore {

struct BlockMaker::Scratch {
  std::vector<float> weights;
  scheme::ggml::ValueScratch values;
  scheme::ggml::SearchScratch search;
  codec::BlockScratch made;
};

namespace {

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

uint64_t BytesOf(DType type, uint64_t weights) {
  return weights / DTypeBlock(type) * (DTypeBits(type) / 8);
}

bool AreFinite(std::span<const float> values) {
  bool all = true;  // No early exit: so it vectorizes.
  for (const float value : values) {
    all &= (std::bit_cast<uint32_t>(value) & 0x7F800000) != 0x7F800000;
  }
  return all;
}

bool AreFiniteHalves(std::span<const std::byte> halves) {
  bool all = true;
  for (size_t i = 0; i + 2 <= halves.size(); i += 2) {
    all &= (base::LoadLe<uint16_t>(halves.data() + i) & 0x7C00) != 0x7C00;
  }
  return all;
}

/// Whether no scale is infinity or NaN, as ggml looks at what it makes.
bool AreFiniteBlocks(DType type, std::span<const std::byte> blocks, codec::BlockScratch* scratch) {
  const codec::BlockLayout& layout = *codec::LayoutOfBlocks(type);
  codec::SplitBlocks(layout, blocks, scratch);
  const size_t count = blocks.size() / layout.bytes;
  for (size_t s = 0; s < layout.streams.size(); ++s) {
    const codec::BlockStream& stream = layout.streams[s];
    if (stream.kind != codec::StreamKind::kHalf) continue;
    const std::span scales(scratch->stream(s), count * stream.bytes_per_block());
    if (!AreFiniteHalves(std::as_bytes(scales))) return false;
  }
  return true;
}

bool AreFiniteOf(DType type, std::span<const std::byte> made, codec::BlockScratch* scratch) {
  if (type == DType::kF32) return true;  // As finite as what it is made of.
  if (type == DType::kF16) return AreFiniteHalves(made);
  if (type != DType::kBF16) return AreFiniteBlocks(type, made, scratch);
  bool all = true;
  for (size_t i = 0; i + 2 <= made.size(); i += 2) {
    all &= (base::LoadLe<uint16_t>(made.data() + i) & 0x7F80) != 0x7F80;
  }
  return all;
}

Status CheckSizes(DType from, uint64_t in_bytes, DType to, uint64_t columns,
                  std::span<const float> importance, uint64_t out_bytes) {
  if (columns == 0 || columns % DTypeBlock(from) != 0 || columns % DTypeBlock(to) != 0) {
    return InvalidArgument("rows of " + std::to_string(columns) + " weights are no whole blocks");
  }
  const uint64_t row = BytesOf(from, columns);
  if (in_bytes % row != 0 || out_bytes != in_bytes / row * BytesOf(to, columns)) {
    return InvalidArgument("the sizes are not those of whole rows");
  }
  if (!importance.empty() && importance.size() != columns) {
    return InvalidArgument("importance is not one number for each column");
  }
  return {};
}

}  // namespace

bool BlockMaker::Reads(DType type) { return scheme::ggml::HasValues(type); }
bool BlockMaker::Makes(DType type) { return IsFloat(type) || scheme::ggml::IsSearched(type); }

BlockMaker::BlockMaker() : scratch_(std::make_unique<Scratch>()) {}
BlockMaker::~BlockMaker() = default;
BlockMaker::BlockMaker(BlockMaker&&) noexcept = default;
BlockMaker& BlockMaker::operator=(BlockMaker&&) noexcept = default;

Status BlockMaker::Make(DType from, std::span<const std::byte> rows, DType to, uint64_t columns,
                        std::span<const float> importance, std::span<std::byte> out) {
  return base::Guarded([&]() -> Status {
    QSTORE_TRY(CheckSizes(from, rows.size(), to, columns, importance, out.size()));
    const base::FloatMode ieee;
    const uint64_t count = rows.size() / (DTypeBits(from) / 8) * DTypeBlock(from);
    std::vector<float>& weights = scratch_->weights;
    weights.resize(static_cast<size_t>(count));
    scheme::ggml::ValuesOf(from, rows, &scratch_->values, weights);
    if (!AreFinite(weights)) return InvalidArgument("holds infinity or NaN");
    if (IsFloat(to)) {
      scheme::ggml::RoundTo(to, weights, out);
    } else {
      scheme::ggml::QuantizeRows(to, weights, columns, importance, out, &scratch_->search);
    }
    if (AreFiniteOf(to, out, &scratch_->made)) return {};
    return InvalidArgument("holds weights beyond what " + std::string(DTypeName(to)) + " can hold");
  });
}

}  // namespace qstore
