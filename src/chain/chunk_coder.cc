// SPDX-License-Identifier: Apache-2.0
#include "chain/chunk_coder.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "chain/cast_coder.h"
#include "chain/check_parents.h"
#include "chain/chunk_scratch.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"

namespace qstore::chain {

uint64_t ChooseChunkElems(uint64_t row_elems, Level level) {
  const uint64_t target = level == Level::kMax ? kMaxLevelChunkElems : kChunkElems;
  return row_elems >= target ? target : target / row_elems * row_elems;
}

std::optional<uint64_t> ChooseGptqChunkElems(const base::GptqShape& shape) {
  constexpr uint64_t kMostElems = (uint64_t{1} << 24) / 4;
  const uint64_t blocks = std::max<uint64_t>(1, kChunkElems / (quant::kGptqBlock * shape.outputs));
  const uint64_t elems = blocks * shape.bits * shape.outputs;
  if (elems > kMostElems) return std::nullopt;
  return elems;
}

ChunkCoder::ChunkCoder() : scratch_(std::make_unique<ChunkScratch>()) {}
ChunkCoder::~ChunkCoder() = default;
ChunkCoder::ChunkCoder(ChunkCoder&&) noexcept = default;
ChunkCoder& ChunkCoder::operator=(ChunkCoder&&) noexcept = default;

Status ChunkCoder::Decode(const ObjectSpec& spec, uint64_t chunk, ChunkCodec codec,
                          std::span<const std::byte> payload, const ParentBytes& parents,
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
    case ChunkCodec::kBins:
      if (spec.relation != Relation::kLlmInt8)
        return Corrupt("bins chunk: object has no int8 parent");
      QSTORE_TRY(CheckParents(spec, chunk, parents));
      status = DecodeBins(spec.dtype, RangeOf(spec, chunk), &reader, parents.base, parents.scales,
                          &scratch_->bins, raw);
      break;
    case ChunkCodec::kCastDelta:
      if (spec.relation != Relation::kCast) return Corrupt("cast chunk: object has no cast parent");
      QSTORE_TRY(CheckParents(spec, chunk, parents));
      status = DecodeCastDelta(spec.dtype, spec.parent_dtype, &reader, parents.base,
                               &scratch_->planes, raw);
      break;
    case ChunkCodec::kRows: {
      const codec::RowShape shape = RowsOf(spec, raw.size() / spec.elem_bytes());
      if (!codec::IsCodedRows(spec.dtype, shape))
        return Corrupt("rows chunk: elements form no matrix that has one");
      status =
          codec::DecodeRows(spec.dtype, shape, &reader, &scratch_->planes, &scratch_->rows, raw);
      break;
    }
    case ChunkCodec::kGptqFloats:
      if (spec.relation != Relation::kGptqFloats)
        return Corrupt("gptq floats chunk: object has no GPTQ parent");
      QSTORE_TRY(CheckParents(spec, chunk, parents));
      status = DecodeGptqFloats(spec.dtype, spec.first_elem(chunk) / spec.parent_shape.inputs,
                                &reader, GptqParent(spec, parents), &scratch_->gptq, raw);
      break;
    case ChunkCodec::kGptqIntegers:
      if (spec.relation != Relation::kGptqIntegers)
        return Corrupt("gptq integers chunk: object has no GPTQ parent");
      QSTORE_TRY(CheckParents(spec, chunk, parents));
      status = DecodeGptqIntegers(FirstInput(spec, chunk), &reader, GptqSelf(spec, parents),
                                  parents.base, GptqParent(spec, parents), &scratch_->gptq, raw);
      break;
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

}  // namespace qstore::chain
