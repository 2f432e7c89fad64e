// SPDX-License-Identifier: Apache-2.0
#include "scheme/chunk_coder.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"
#include "scheme/chunk_rows.h"

namespace qstore::scheme {

Status CheckContents(const Given& given, const ChunkAt& at) {
  if (given.bound == nullptr) return {};
  if (given.parents.size() != given.bound->parent_count()) {
    return Corrupt("scheme: another number of parents");
  }
  for (size_t p = 0; p < given.parents.size(); ++p) {
    const ParentContent& parent = given.parents[p];
    const uint64_t size =
        parent.is_whole ? given.bound->parent_bytes(p) : given.bound->NeedOf(p, at).size();
    if (parent.bytes.size() != size) return Corrupt("scheme: a parent has another size");
  }
  return {};
}

ChunkCoder::ChunkCoder() : scratch_(std::make_unique<Scratch>()) {}
ChunkCoder::~ChunkCoder() = default;
ChunkCoder::ChunkCoder(ChunkCoder&&) noexcept = default;
ChunkCoder& ChunkCoder::operator=(ChunkCoder&&) noexcept = default;

Status ChunkCoder::Decode(const ObjectSpec& spec, uint64_t chunk, ChunkCodec codec,
                          std::span<const std::byte> payload, const Given& given,
                          std::span<std::byte> raw) {
  base::ByteReader reader(payload);
  Status status;
  switch (codec) {
    case ChunkCodec::kRaw:
      if (payload.size() != raw.size())
        return Corrupt("raw chunk: length differs from its content");
      std::copy(payload.begin(), payload.end(), raw.begin());
      return {};
    case ChunkCodec::kZstd:
      return scratch_->zstd.Decompress(payload, raw);
    case ChunkCodec::kPlanes:
      status = codec::DecodeBytePlanes(static_cast<unsigned>(spec.elem_bytes()), &reader,
                                       &scratch_->planes, raw);
      break;
    case ChunkCodec::kInt8:
      if (spec.elem_bytes() != 1) return Corrupt("int8 chunk: elements are larger than a byte");
      status = codec::DecodeInt8(&reader, &scratch_->planes, raw);
      break;
    case ChunkCodec::kFloat:
      if (!codec::IsCodedFloat(spec.dtype))
        return Corrupt("float chunk: type is not a coded float");
      status = codec::DecodeFloats(spec.dtype, &reader, &scratch_->planes, raw);
      break;
    case ChunkCodec::kScheme: {
      if (given.bound == nullptr) return Corrupt("chunk coded by a scheme: its object has none");
      const ChunkAt at{spec.first_elem(chunk), spec.chunk_elem_count(chunk)};
      QSTORE_TRY(CheckContents(given, at));
      status = given.bound->Decode(at, given.parents, &reader, scratch_.get(), raw);
      // What its parents tell all of has no payload, and so no slack.
      if (payload.empty()) return status;
      break;
    }
    case ChunkCodec::kBlocks: {
      const auto* layout = codec::LayoutOfBlocks(spec.dtype);
      if (layout == nullptr) return Corrupt("blocks chunk: its type is none of blocks");
      status = codec::DecodeBlocks(*layout, &reader, &scratch_->blocks, raw);
      break;
    }
    case ChunkCodec::kBlocksByZero: {
      const auto* layout = codec::LayoutOfBlocks(spec.dtype);
      if (layout == nullptr || layout->zeros == nullptr) {
        return Corrupt("blocks chunk: its type has no minima");
      }
      status = codec::DecodeBlocksByZero(*layout, &reader, &scratch_->blocks, raw);
      break;
    }
    case ChunkCodec::kRows: {
      const codec::RowShape shape = RowsOf(spec, raw.size() / spec.elem_bytes());
      if (!codec::IsCodedRows(spec.dtype, shape))
        return Corrupt("rows chunk: elements form no matrix that has one");
      status =
          codec::DecodeRows(spec.dtype, shape, &reader, &scratch_->planes, &scratch_->rows, raw);
      break;
    }
    default:
      return Corrupt("unknown chunk codec " + std::to_string(static_cast<unsigned>(codec)));
  }
  QSTORE_TRY(status);
  static_assert(codec::kReadSlack == sizeof(uint64_t));
  if (reader.remaining() != codec::kReadSlack || reader.Fixed<uint64_t>() != 0) {
    return Corrupt("chunk: does not end in 8 zero bytes behind its content");
  }
  return {};
}

}  // namespace qstore::scheme
