// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/block_coder.h"

#include <algorithm>
#include <array>

#include "base/status_macros.h"
#include "scheme/grid/listed.h"

namespace qstore::scheme::ggml {
namespace {

using codec::BlockStream;
using codec::StreamKind;

// More exceptions than one in so many weights are coded by places without a look at a list, and
// lists of a few bytes without a look at places.
constexpr size_t kRare = 16;
constexpr size_t kSmallList = 32;
// Up to one in so many are listed where reading fast counts more than bytes: two bytes each are at
// most a sixteenth of a bit for each weight.
constexpr size_t kVeryRare = 256;

// Weights at a time: as floats they stay in a core's first cache.
constexpr size_t kBatch = 4096;

enum class CodesAs : uint8_t { kListed = 0, kNear = 1 };

unsigned BitsOf(const BlockStream& stream) {
  return stream.kind == StreamKind::kSymbols ? stream.bits : 8;
}

// Differences modulo 2^bits as 0, -1, 1, -2, ... have small numbers.
unsigned Folded(unsigned difference, unsigned bits) {
  const unsigned mask = (1u << bits) - 1;
  const bool is_negative = (difference & mask) >> (bits - 1) != 0;
  return (is_negative ? ~difference << 1 | 1 : difference << 1) & mask;
}
unsigned Unfolded(unsigned folded) { return folded >> 1 ^ (0u - (folded & 1)); }

}  // namespace

uint64_t BlockCoderBytes(uint64_t weights) {
  // Two sets of streams, with codes as bytes; nearest codes and places; what the near coder has;
  // steps and offsets of sub-blocks of 16.
  return (3 + 3 + 2 + kNearScratchPerCode + 1) * weights + kNearScratch;
}

BlockCoder::BlockCoder(DType dtype, BlockCoderScratch* scratch)
    : layout_(*codec::LayoutOfBlocks(dtype)), grid_(GridOfBlocks(dtype)), scratch_(*scratch) {}

void BlockCoder::Encode(const WeightReader& weights, std::span<const std::byte> made,
                        std::span<const std::byte> blocks, codec::Effort effort,
                        std::vector<std::byte>* out) {
  if (grid_ == nullptr) {
    codec::EncodeBlocks(layout_, effort, blocks, &scratch_.blocks, out);
    return;
  }
  codec::SplitBlocks(layout_, blocks, &scratch_.blocks);
  if (!made.empty()) codec::SplitBlocks(layout_, made, &scratch_.made);
  EncodeScales(!made.empty(), blocks.size() / layout_.bytes, effort, out);
  EncodeCodes(weights, blocks.size() / layout_.bytes * layout_.weights, !made.empty(), effort, out);
}

Status BlockCoder::Decode(base::ByteReader* payload, const WeightReader& weights,
                          std::span<const std::byte> made, std::span<std::byte> blocks) {
  if (grid_ == nullptr) return codec::DecodeBlocks(layout_, payload, &scratch_.blocks, blocks);
  const size_t count = blocks.size() / layout_.bytes;
  scratch_.blocks.Resize(layout_, count);
  if (!made.empty()) codec::SplitBlocks(layout_, made, &scratch_.made);
  QSTORE_TRY(DecodeScales(payload, !made.empty(), count));
  QSTORE_TRY(DecodeCodes(payload, weights, count * layout_.weights, !made.empty()));
  codec::MergeBlocks(layout_, &scratch_.blocks, blocks);
  return {};
}

void BlockCoder::EncodeScales(bool is_told, size_t count, codec::Effort effort,
                              std::vector<std::byte>* out) {
  for (size_t s = 0; s < layout_.codes(); ++s) {
    const BlockStream& stream = layout_.streams[s];
    if (!is_told) {
      codec::EncodeBlockStream(stream, count, s, effort, &scratch_.blocks, out);
      continue;
    }
    const size_t numbers = stream.per_block * count;
    const uint8_t* own = scratch_.blocks.stream(s);
    const uint8_t* told = scratch_.made.stream(s);
    scratch_.plane.resize(2 * numbers + codec::kPlaneSlack);
    uint8_t* plane = scratch_.plane.data();
    if (stream.kind == StreamKind::kHalf) {
      for (size_t i = 0; i < numbers; ++i) {
        const unsigned folded = Folded(
            base::LoadLe<uint16_t>(own + 2 * i) - unsigned{base::LoadLe<uint16_t>(told + 2 * i)},
            16);
        plane[i] = static_cast<uint8_t>(folded);
        plane[numbers + i] = static_cast<uint8_t>(folded >> 8);
      }
      codec::EncodePlane({plane, numbers}, codec::Effort::kRans, out);
      codec::EncodePlane({plane + numbers, numbers}, codec::Effort::kRans, out);
    } else {
      for (size_t i = 0; i < numbers; ++i) {
        plane[i] = static_cast<uint8_t>(Folded(own[i] - unsigned{told[i]}, BitsOf(stream)));
      }
      codec::EncodePlane({plane, numbers}, codec::Effort::kRans, out);
    }
  }
}

Status BlockCoder::DecodeScales(base::ByteReader* payload, bool is_told, size_t count) {
  for (size_t s = 0; s < layout_.codes(); ++s) {
    const BlockStream& stream = layout_.streams[s];
    if (!is_told) {
      QSTORE_TRY(codec::DecodeBlockStream(stream, count, s, payload, &scratch_.blocks));
      continue;
    }
    const size_t numbers = stream.per_block * count;
    uint8_t* own = scratch_.blocks.stream(s);
    const uint8_t* told = scratch_.made.stream(s);
    scratch_.plane.resize(2 * (numbers + codec::kPlaneSlack));
    uint8_t* room = scratch_.plane.data();
    QSTORE_ASSIGN(const uint8_t* low, codec::DecodePlane(payload, numbers, room));
    if (stream.kind == StreamKind::kHalf) {
      QSTORE_ASSIGN(const uint8_t* high,
                    codec::DecodePlane(payload, numbers, room + numbers + codec::kPlaneSlack));
      for (size_t i = 0; i < numbers; ++i) {
        const unsigned step = Unfolded(low[i] | unsigned{high[i]} << 8);
        base::StoreLe(own + 2 * i,
                      static_cast<uint16_t>(base::LoadLe<uint16_t>(told + 2 * i) + step));
      }
    } else {
      const unsigned mask = (1u << BitsOf(stream)) - 1;
      for (size_t i = 0; i < numbers; ++i) {
        own[i] = static_cast<uint8_t>((told[i] + Unfolded(low[i])) & mask);
      }
    }
  }
  return {};
}

void BlockCoder::FindNearest(const WeightReader& weights, size_t count, bool is_told,
                             bool with_places, uint8_t* nearest) {
  std::array<const uint8_t*, codec::kMaxBlockStreams> streams{};
  for (size_t s = 0; s < layout_.codes(); ++s) streams[s] = scratch_.blocks.stream(s);
  scratch_.scales.Fill(*grid_, layout_.weights, streams.data(), count / layout_.weights);
  if (with_places) scratch_.places.resize(count);
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t here = std::min(kBatch, count - first);
    NearestCodes(*grid_, scratch_.scales, first / grid_->per_sub, weights(first, here),
                 nearest + first, with_places ? scratch_.places.data() + first : nullptr);
  }
  if (!is_told) return;
  // With the scales that were made come the codes that were made: those of some types are chosen
  // before the scale is rounded.
  const uint8_t* codes = scratch_.made.stream(layout_.codes());
  for (size_t b = 0; b < count / layout_.weights; ++b) {
    const size_t first = b * layout_.weights;
    if (HasScalesMade(b)) {
      std::copy_n(codes + first, layout_.weights, nearest + first);
    }
  }
}

bool BlockCoder::HasScalesMade(size_t block) const {
  for (size_t s = 0; s < layout_.codes(); ++s) {
    const size_t bytes = layout_.streams[s].bytes_per_block();
    const uint8_t* own = scratch_.blocks.streams[s].data() + block * bytes;
    if (!std::equal(own, own + bytes, scratch_.made.streams[s].data() + block * bytes)) {
      return false;
    }
  }
  return true;
}

void BlockCoder::EncodeCodes(const WeightReader& weights, size_t count, bool is_told,
                             codec::Effort effort, std::vector<std::byte>* out) {
  scratch_.nearest.resize(count);
  FindNearest(weights, count, is_told, true, scratch_.nearest.data());
  const uint8_t* codes = scratch_.blocks.stream(layout_.codes());
  const uint8_t* nearest = scratch_.nearest.data();
  size_t listed = 0;
  for (size_t i = 0; i < count; ++i) listed += codes[i] != nearest[i] ? 1 : 0;
  // Tables of places weigh more than a few exceptions, and lists are read ten times as fast.
  const size_t begin = out->size();
  if (listed <= count / kRare) {
    ListCodes(count, out);
    const bool is_fast = effort <= codec::Effort::kRuns && listed <= count / kVeryRare;
    if (out->size() - begin <= kSmallList || is_fast) return;
  }
  scratch_.near_bytes.assign(1, static_cast<std::byte>(CodesAs::kNear));
  EncodeNear(layout_.streams.back().bits, {codes, count}, scratch_.nearest, scratch_.places,
             &scratch_.near, &scratch_.near_bytes);
  if (out->size() > begin && out->size() - begin <= scratch_.near_bytes.size()) return;
  out->resize(begin);
  out->insert(out->end(), scratch_.near_bytes.begin(), scratch_.near_bytes.end());
}

void BlockCoder::ListCodes(size_t count, std::vector<std::byte>* out) {
  const std::span codes(scratch_.blocks.stream(layout_.codes()), count);
  base::ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(CodesAs::kListed));
  const size_t listed =
      EncodeListed(std::as_bytes(std::span(scratch_.nearest)), std::as_bytes(codes), 1, out);
  // Of none too, as more follows.
  if (listed == 0) writer.Varint(0);
}

Status BlockCoder::DecodeCodes(base::ByteReader* payload, const WeightReader& weights, size_t count,
                               bool is_told) {
  const auto as = payload->Fixed<uint8_t>();
  if (as > static_cast<uint8_t>(CodesAs::kNear)) return Corrupt("ggml: codes of no known kind");
  uint8_t* codes = scratch_.blocks.stream(layout_.codes());
  if (as == static_cast<uint8_t>(CodesAs::kNear)) {
    scratch_.nearest.resize(count);
    FindNearest(weights, count, is_told, true, scratch_.nearest.data());
    return DecodeNear(layout_.streams.back().bits, payload, scratch_.nearest, scratch_.places,
                      &scratch_.near, {codes, count});
  }
  FindNearest(weights, count, is_told, false, codes);
  return DecodeListed(payload, 1, "ggml", std::as_writable_bytes(std::span(codes, count)));
}

}  // namespace qstore::scheme::ggml
