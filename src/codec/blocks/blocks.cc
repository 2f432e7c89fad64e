// SPDX-License-Identifier: Apache-2.0
#include "codec/blocks/blocks.h"

#include <algorithm>
#include <array>

#include "base/status_macros.h"
#include "codec/integer.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

// Codes of neighbours that are one symbol: as many as fit a byte.
unsigned PerSymbol(unsigned bits) { return bits > 4 ? 1 : 8 / bits; }

void PackCodes(unsigned bits, const uint8_t* codes, size_t symbols, uint8_t* out) {
  switch (PerSymbol(bits)) {
    case 2:
      for (size_t i = 0; i < symbols; ++i) {
        out[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << bits);
      }
      return;
    default:
      for (size_t i = 0; i < symbols; ++i) {
        const uint8_t* c = codes + 4 * i;
        out[i] = static_cast<uint8_t>(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
      }
  }
}

void UnpackCodes(unsigned bits, const uint8_t* in, size_t symbols, uint8_t* codes) {
  const auto mask = static_cast<uint8_t>((1u << bits) - 1);
  switch (PerSymbol(bits)) {
    case 2:
      for (size_t i = 0; i < symbols; ++i) {
        codes[2 * i] = in[i] & mask;
        codes[2 * i + 1] = in[i] >> bits & mask;
      }
      return;
    default:
      for (size_t i = 0; i < symbols; ++i) {
        for (unsigned k = 0; k < 4; ++k) codes[4 * i + k] = in[i] >> 2 * k & 3;
      }
  }
}

}  // namespace

void BlockScratch::Resize(const BlockLayout& layout, size_t count) {
  for (size_t s = 0; s < layout.streams.size(); ++s) {
    const size_t bytes = layout.streams[s].bytes_per_block() * count + kPlaneSlack;
    if (streams[s].size() < bytes) streams[s].resize(bytes);
  }
}

void SplitBlocks(const BlockLayout& layout, std::span<const std::byte> blocks,
                 BlockScratch* scratch) {
  const size_t count = blocks.size() / layout.bytes;
  scratch->Resize(layout, count);
  std::array<uint8_t*, kMaxBlockStreams> streams{};
  for (size_t s = 0; s < layout.streams.size(); ++s) streams[s] = scratch->stream(s);
  layout.split(reinterpret_cast<const uint8_t*>(blocks.data()), count, streams.data());
}

void MergeBlocks(const BlockLayout& layout, BlockScratch* scratch, std::span<std::byte> blocks) {
  std::array<const uint8_t*, kMaxBlockStreams> streams{};
  for (size_t s = 0; s < layout.streams.size(); ++s) streams[s] = scratch->stream(s);
  layout.merge(streams.data(), blocks.size() / layout.bytes,
               reinterpret_cast<uint8_t*>(blocks.data()));
}

void EncodeBlockStream(const BlockStream& stream, size_t count, size_t s, Effort effort,
                       BlockScratch* scratch, std::vector<std::byte>* out) {
  const size_t symbols = stream.per_block * count;
  const uint8_t* in = scratch->stream(s);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(in),
                                         stream.bytes_per_block() * count);
  const bool is_signed =
      stream.kind == StreamKind::kSigned || (stream.kind == StreamKind::kCodes && stream.bits == 8);
  if (stream.kind == StreamKind::kHalf) {
    EncodeFloats(DType::kF16, effort, bytes, &scratch->planes, out);
  } else if (is_signed) {
    EncodeInt8(effort, bytes, &scratch->planes, out);
  } else if (stream.kind == StreamKind::kCodes && PerSymbol(stream.bits) > 1) {
    scratch->packed.resize(symbols / PerSymbol(stream.bits) + kPlaneSlack);
    const size_t packed = symbols / PerSymbol(stream.bits);
    PackCodes(stream.bits, in, packed, scratch->packed.data());
    EncodePlane({scratch->packed.data(), packed}, effort, out);
  } else {
    EncodePlane({in, symbols}, effort, out);
  }
}

Status DecodeBlockStream(const BlockStream& stream, size_t count, size_t s,
                         base::ByteReader* payload, BlockScratch* scratch) {
  const size_t symbols = stream.per_block * count;
  uint8_t* out = scratch->stream(s);
  const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(out),
                                   stream.bytes_per_block() * count);
  const bool is_signed =
      stream.kind == StreamKind::kSigned || (stream.kind == StreamKind::kCodes && stream.bits == 8);
  if (stream.kind == StreamKind::kHalf) {
    return DecodeFloats(DType::kF16, payload, &scratch->planes, bytes);
  }
  if (is_signed) return DecodeInt8(payload, &scratch->planes, bytes);
  if (stream.kind == StreamKind::kCodes && PerSymbol(stream.bits) > 1) {
    const size_t packed = symbols / PerSymbol(stream.bits);
    scratch->packed.resize(packed + kPlaneSlack);
    QSTORE_ASSIGN(const uint8_t* in, DecodePlane(payload, packed, scratch->packed.data()));
    UnpackCodes(stream.bits, in, packed, out);
    return {};
  }
  QSTORE_ASSIGN(const uint8_t* in, DecodePlane(payload, symbols, out));
  if (in != out) std::copy_n(in, symbols, out);
  return {};
}

void EncodeBlocks(const BlockLayout& layout, Effort effort, std::span<const std::byte> raw,
                  BlockScratch* scratch, std::vector<std::byte>* out) {
  const size_t count = raw.size() / layout.bytes;
  SplitBlocks(layout, raw, scratch);
  for (size_t s = 0; s < layout.streams.size(); ++s) {
    EncodeBlockStream(layout.streams[s], count, s, effort, scratch, out);
  }
}

namespace {

// Of each weight, from the streams of scales.
void FindContexts(const BlockLayout& layout, size_t count, BlockScratch* scratch) {
  const size_t weights = count * layout.weights;
  scratch->zeros.resize(weights / layout.per_sub);
  scratch->contexts.resize(weights);
  std::array<const uint8_t*, kMaxBlockStreams> streams{};
  for (size_t s = 0; s < layout.codes(); ++s) streams[s] = scratch->stream(s);
  layout.zeros(streams.data(), count, scratch->zeros.data());
  for (size_t k = 0; k < scratch->zeros.size(); ++k) {
    std::fill_n(scratch->contexts.begin() + static_cast<ptrdiff_t>(k * layout.per_sub),
                layout.per_sub, scratch->zeros[k]);
  }
}

}  // namespace

void EncodeBlocksByZero(const BlockLayout& layout, Effort effort, std::span<const std::byte> raw,
                        BlockScratch* scratch, std::vector<std::byte>* out) {
  const size_t count = raw.size() / layout.bytes;
  SplitBlocks(layout, raw, scratch);
  for (size_t s = 0; s < layout.codes(); ++s) {
    EncodeBlockStream(layout.streams[s], count, s, effort, scratch, out);
  }
  FindContexts(layout, count, scratch);
  const std::span<const uint8_t> codes(scratch->stream(layout.codes()), count * layout.weights);
  const Contexts contexts{scratch->contexts, 0, kZeroPlaces};
  CountByContext(codes, contexts, &scratch->rans);
  EncodeContextRans(codes, contexts, &scratch->rans, out);
}

Status DecodeBlocksByZero(const BlockLayout& layout, base::ByteReader* payload,
                          BlockScratch* scratch, std::span<std::byte> raw) {
  const size_t count = raw.size() / layout.bytes;
  scratch->Resize(layout, count);
  for (size_t s = 0; s < layout.codes(); ++s) {
    QSTORE_TRY(DecodeBlockStream(layout.streams[s], count, s, payload, scratch));
  }
  FindContexts(layout, count, scratch);
  QSTORE_TRY(DecodeContextRans(payload, {scratch->contexts, 0, kZeroPlaces}, count * layout.weights,
                               &scratch->rans, scratch->stream(layout.codes())));
  MergeBlocks(layout, scratch, raw);
  return {};
}

Status DecodeBlocks(const BlockLayout& layout, base::ByteReader* payload, BlockScratch* scratch,
                    std::span<std::byte> raw) {
  const size_t count = raw.size() / layout.bytes;
  scratch->Resize(layout, count);
  for (size_t s = 0; s < layout.streams.size(); ++s) {
    QSTORE_TRY(DecodeBlockStream(layout.streams[s], count, s, payload, scratch));
  }
  MergeBlocks(layout, scratch, raw);
  return {};
}

}  // namespace qstore::codec
