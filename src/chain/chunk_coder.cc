// SPDX-License-Identifier: Apache-2.0
#include "chain/chunk_coder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "chain/bins_coder.h"
#include "chain/cast_coder.h"
#include "chain/check_parents.h"
#include "chain/gptq_coder.h"
#include "chain/repeats.h"
#include "codec/floating.h"
#include "codec/general.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"
#include "codec/rows.h"

namespace qstore::chain {
namespace {

using Bytes = std::vector<std::byte>;

// A parent must explain a chunk well, else it is coded alone as well and the smaller kept: the
// share of values outside their bins, or of the raw size, from which on that is tried.
constexpr double kSuspiciousListed = 0.02;
constexpr double kSuspiciousShare = 0.55;

// At the fast level, the share of the raw size that a code for bytes must get below.
constexpr double kFastWorthwhile = 0.8;

// Tensors below this size take the finer codes at the balanced level too: tables weigh more in
// them, and what a model spends on decoding is in its large tensors.
// F16 has more candidates in a bin, and more to gain; BF16 would gain 0.2 % of an archive and take
// twice as long to load.
uint64_t SmallTensor(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 0;
    case DType::kF16:
      return uint64_t{1} << 22;
    default:
      return uint64_t{1} << 20;
  }
}

codec::Effort EffortFor(const ObjectSpec& spec, Level level) {
  // Words of packed integers count as what they hold.
  const uint64_t count = spec.shape.bits != 0 ? spec.shape.elem_count() : spec.elem_count();
  const bool fine =
      level == Level::kMax || (level == Level::kBalanced && count < SmallTensor(spec.dtype));
  return fine ? codec::Effort::kRans : codec::Effort::kHuffman;
}

// At the max level, the share of the size that a model of the rows must get below: it decodes many
// times more slowly than all else.
constexpr double kRowsWorthwhile = 0.995;

// Bytes from the middle of a chunk on which zstd is tried before it gets the whole.
constexpr size_t kProbeBytes = 16384;

int ZstdLevel(Level level) {
  switch (level) {
    case Level::kFast:
      return 1;
    case Level::kBalanced:
      return 3;
    case Level::kMax:
      break;
  }
  return 19;
}

// Bit streams are read in words: zeros follow the last one.
void AppendSlack(Bytes* payload) { payload->resize(payload->size() + codec::kReadSlack); }

// No rows where `count` elements do not make whole ones.
codec::RowShape RowsOf(const ObjectSpec& spec, uint64_t count) {
  if (count % spec.row_elems != 0) return {};
  return {static_cast<size_t>(count / spec.row_elems), static_cast<size_t>(spec.row_elems)};
}

bool IsSignedByte(const ObjectSpec& spec) { return spec.dtype == DType::kI8; }

}  // namespace

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

struct ChunkCoder::Scratch {
  codec::PlaneScratch planes;
  BinsScratch bins;
  GptqScratch gptq;
  RepeatScratch repeats;
  codec::Zstd zstd;
  codec::RowScratch rows;
  Bytes candidate;
  Bytes other;

  // Replaces *payload if modelling rows is worth its time.
  void TryRows(const ObjectSpec& spec, std::span<const std::byte> raw, ChunkCodec* codec,
               Bytes* payload) {
    const codec::RowShape shape = RowsOf(spec, raw.size() / spec.elem_bytes());
    if (!codec::IsCodedRows(spec.dtype, shape)) return;
    const auto limit = static_cast<size_t>(kRowsWorthwhile * static_cast<double>(payload->size()));
    other.clear();
    if (!codec::EncodeRows(spec.dtype, shape, limit, raw, &planes, &rows, &other)) return;
    AppendSlack(&other);
    if (other.size() >= payload->size()) return;
    std::swap(*payload, other);
    *codec = ChunkCodec::kRows;
  }

  static uint64_t FirstInput(const ObjectSpec& spec, uint64_t chunk) {
    return 32 * spec.first_elem(chunk) / (spec.shape.outputs * spec.shape.bits);
  }

  // Nothing when the parents cannot explain anything.
  std::optional<size_t> EncodeGptq(const ObjectSpec& spec, codec::Effort effort, uint64_t chunk,
                                   std::span<const std::byte> raw, const ParentBytes& parents,
                                   Bytes* out) {
    const quant::GptqTensor parent = GptqParent(spec, parents);
    if (spec.relation == Relation::kGptqFloats) {
      return EncodeGptqFloats(spec.dtype, effort, spec.first_elem(chunk) / parent.shape.inputs, raw,
                              parent, &gptq, out);
    }
    return EncodeGptqIntegers(effort, FirstInput(spec, chunk), raw, GptqSelf(spec, parents),
                              parents.base, parent, &gptq, out);
  }

  RowRange Range(const ObjectSpec& spec, uint64_t chunk) const {
    return {spec.first_elem(chunk), spec.row_elems};
  }

  ChunkCodec EncodeAlone(const ObjectSpec& spec, codec::Effort effort,
                         std::span<const std::byte> raw, Bytes* out) {
    ChunkCodec codec = ChunkCodec::kPlanes;
    if (codec::IsCodedFloat(spec.dtype)) {
      codec::EncodeFloats(spec.dtype, effort, raw, &planes, out);
      codec = ChunkCodec::kFloat;
    } else if (IsSignedByte(spec)) {
      codec::EncodeInt8(effort, raw, &planes, out);
      codec = ChunkCodec::kInt8;
    } else {
      codec::EncodeBytePlanes(static_cast<unsigned>(spec.elem_bytes()), effort, raw, &planes, out);
    }
    AppendSlack(out);
    return codec;
  }

  // Codes under the relation; says in `*convincing` whether coding alone cannot be better.
  ChunkCodec EncodeRelated(const ObjectSpec& spec, codec::Effort effort, uint64_t chunk,
                           std::span<const std::byte> raw, const ParentBytes& parents,
                           bool* convincing, Bytes* out) {
    if (IsGptq(spec.relation)) {
      const std::optional<size_t> listed = EncodeGptq(spec, effort, chunk, raw, parents, out);
      if (!listed) {
        *convincing = false;
        return ChunkCodec::kRaw;
      }
      AppendSlack(out);
      *convincing = static_cast<double>(*listed) <
                    kSuspiciousListed * static_cast<double>(spec.chunk_elem_count(chunk));
      return spec.relation == Relation::kGptqFloats ? ChunkCodec::kGptqFloats
                                                    : ChunkCodec::kGptqIntegers;
    }
    if (spec.relation == Relation::kLlmInt8) {
      const size_t listed = EncodeBins(spec.dtype, effort, Range(spec, chunk), raw, parents.base,
                                       parents.scales, &bins, out);
      AppendSlack(out);
      const auto count = static_cast<double>(spec.chunk_elem_count(chunk));
      *convincing = static_cast<double>(listed) < kSuspiciousListed * count;
      return ChunkCodec::kBins;
    }
    EncodeCastDelta(spec.dtype, spec.parent_dtype, effort, raw, parents.base, &planes, out);
    AppendSlack(out);
    *convincing =
        static_cast<double>(out->size()) < kSuspiciousShare * static_cast<double>(raw.size());
    return ChunkCodec::kCastDelta;
  }

  // Replaces *payload by a zstd frame if that is shorter than `limit`, judged on a sample first
  // unless it is `likely`.
  Status TryZstd(std::span<const std::byte> raw, Level level, bool likely, double limit,
                 ChunkCodec* codec, Bytes* payload) {
    if (!likely && raw.size() > 4 * kProbeBytes) {
      other.clear();
      QSTORE_TRY(zstd.Compress(raw.subspan(raw.size() / 2, kProbeBytes), 1, &other));
      const double expected = static_cast<double>(other.size()) * static_cast<double>(raw.size()) /
                              static_cast<double>(kProbeBytes);
      if (expected > limit) return {};
    }
    other.clear();
    QSTORE_TRY(zstd.Compress(raw, ZstdLevel(level), &other));
    if (static_cast<double>(other.size()) < limit) {
      std::swap(*payload, other);
      *codec = ChunkCodec::kZstd;
    }
    return {};
  }
};

ChunkCoder::ChunkCoder() : scratch_(std::make_unique<Scratch>()) {}
ChunkCoder::~ChunkCoder() = default;
ChunkCoder::ChunkCoder(ChunkCoder&&) noexcept = default;
ChunkCoder& ChunkCoder::operator=(ChunkCoder&&) noexcept = default;

Result<ChunkCodec> ChunkCoder::Encode(const ObjectSpec& spec, Level level, uint64_t chunk,
                                      std::span<const std::byte> raw, const ParentBytes& parents,
                                      Bytes* payload) {
  QSTORE_TRY(CheckParents(spec, chunk, parents));
  payload->clear();
  const codec::Effort effort = EffortFor(spec, level);
  ChunkCodec codec = ChunkCodec::kRaw;
  bool alone = true;
  bool repeats = false;
  if (spec.relation != Relation::kNone) {
    bool convincing = false;
    codec = scratch_->EncodeRelated(spec, effort, chunk, raw, parents, &convincing, payload);
    repeats = MayRepeat(raw, &scratch_->repeats);
    alone = !convincing || repeats;
  }
  if (alone) {
    Bytes& candidate = scratch_->candidate;
    candidate.clear();
    const ChunkCodec own = scratch_->EncodeAlone(spec, effort, raw, &candidate);
    // At the fast level bytes stay as they are unless a code gains much: copying beats any decoder.
    const double worthwhile = kFastWorthwhile * static_cast<double>(raw.size());
    const bool keep_raw = level == Level::kFast && IsSignedByte(spec) &&
                          static_cast<double>(candidate.size()) > worthwhile;
    if (keep_raw) candidate.assign(raw.begin(), raw.end());
    if (payload->empty() || candidate.size() < payload->size()) {
      std::swap(*payload, candidate);
      codec = keep_raw ? ChunkCodec::kRaw : own;
    }
    // zstd decodes more slowly than the codecs for tensors: there it must gain something.
    const double own_size = static_cast<double>(payload->size());
    const double limit = keep_raw                                             ? worthwhile
                         : own == ChunkCodec::kPlanes && spec.shape.bits == 0 ? own_size
                                                                              : 0.98 * own_size;
    QSTORE_TRY(scratch_->TryZstd(raw, level, repeats, limit, &codec, payload));
    if (level == Level::kMax) scratch_->TryRows(spec, raw, &codec, payload);
  }
  if (payload->size() >= raw.size()) {
    payload->assign(raw.begin(), raw.end());
    codec = ChunkCodec::kRaw;
  }
  return codec;
}

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
      status = DecodeBins(spec.dtype, scratch_->Range(spec, chunk), &reader, parents.base,
                          parents.scales, &scratch_->bins, raw);
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
      status =
          DecodeGptqIntegers(Scratch::FirstInput(spec, chunk), &reader, GptqSelf(spec, parents),
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
