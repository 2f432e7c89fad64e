// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "chain/cast_coder.h"
#include "chain/check_parents.h"
#include "chain/chunk_coder.h"
#include "chain/chunk_scratch.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"

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

bool IsSignedByte(const ObjectSpec& spec) { return spec.dtype == DType::kI8; }

/// The codecs that a chunk may have, each tried with the memory of one thread.
class Encoder {
 public:
  explicit Encoder(ChunkScratch* scratch) : scratch_(*scratch) {}

  ChunkCodec EncodeAlone(const ObjectSpec& spec, codec::Effort effort,
                         std::span<const std::byte> raw, Bytes* out) {
    ChunkCodec codec = ChunkCodec::kPlanes;
    if (codec::IsCodedFloat(spec.dtype)) {
      codec::EncodeFloats(spec.dtype, effort, raw, &scratch_.planes, out);
      codec = ChunkCodec::kFloat;
    } else if (IsSignedByte(spec)) {
      codec::EncodeInt8(effort, raw, &scratch_.planes, out);
      codec = ChunkCodec::kInt8;
    } else {
      codec::EncodeBytePlanes(static_cast<unsigned>(spec.elem_bytes()), effort, raw,
                              &scratch_.planes, out);
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
      const size_t listed = EncodeBins(spec.dtype, effort, RangeOf(spec, chunk), raw, parents.base,
                                       parents.scales, &scratch_.bins, out);
      AppendSlack(out);
      const auto count = static_cast<double>(spec.chunk_elem_count(chunk));
      *convincing = static_cast<double>(listed) < kSuspiciousListed * count;
      return ChunkCodec::kBins;
    }
    EncodeCastDelta(spec.dtype, spec.parent_dtype, effort, raw, parents.base, &scratch_.planes,
                    out);
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
      scratch_.other.clear();
      QSTORE_TRY(
          scratch_.zstd.Compress(raw.subspan(raw.size() / 2, kProbeBytes), 1, &scratch_.other));
      const double expected = static_cast<double>(scratch_.other.size()) *
                              static_cast<double>(raw.size()) / static_cast<double>(kProbeBytes);
      if (expected > limit) return {};
    }
    scratch_.other.clear();
    QSTORE_TRY(scratch_.zstd.Compress(raw, ZstdLevel(level), &scratch_.other));
    if (static_cast<double>(scratch_.other.size()) < limit) {
      std::swap(*payload, scratch_.other);
      *codec = ChunkCodec::kZstd;
    }
    return {};
  }

  // Replaces *payload if modelling rows is worth its time.
  void TryRows(const ObjectSpec& spec, std::span<const std::byte> raw, ChunkCodec* codec,
               Bytes* payload) {
    const codec::RowShape shape = RowsOf(spec, raw.size() / spec.elem_bytes());
    if (!codec::IsCodedRows(spec.dtype, shape)) return;
    const auto limit = static_cast<size_t>(kRowsWorthwhile * static_cast<double>(payload->size()));
    scratch_.other.clear();
    const bool done = codec::EncodeRows(spec.dtype, shape, limit, raw, &scratch_.planes,
                                        &scratch_.rows, &scratch_.other);
    if (!done) return;
    AppendSlack(&scratch_.other);
    if (scratch_.other.size() >= payload->size()) return;
    std::swap(*payload, scratch_.other);
    *codec = ChunkCodec::kRows;
  }

 private:
  // Nothing when the parents cannot explain anything.
  std::optional<size_t> EncodeGptq(const ObjectSpec& spec, codec::Effort effort, uint64_t chunk,
                                   std::span<const std::byte> raw, const ParentBytes& parents,
                                   Bytes* out) {
    const quant::GptqTensor parent = GptqParent(spec, parents);
    if (spec.relation == Relation::kGptqFloats) {
      return EncodeGptqFloats(spec.dtype, effort, spec.first_elem(chunk) / parent.shape.inputs, raw,
                              parent, &scratch_.gptq, out);
    }
    return EncodeGptqIntegers(effort, FirstInput(spec, chunk), raw, GptqSelf(spec, parents),
                              parents.base, parent, &scratch_.gptq, out);
  }

  ChunkScratch& scratch_;
};

}  // namespace

Result<ChunkCodec> ChunkCoder::Encode(const ObjectSpec& spec, Level level, uint64_t chunk,
                                      std::span<const std::byte> raw, const ParentBytes& parents,
                                      Bytes* payload) {
  QSTORE_TRY(CheckParents(spec, chunk, parents));
  payload->clear();
  Encoder encoder(scratch_.get());
  const codec::Effort effort = EffortFor(spec, level);
  ChunkCodec codec = ChunkCodec::kRaw;
  bool alone = true;
  bool repeats = false;
  if (spec.relation != Relation::kNone) {
    bool convincing = false;
    codec = encoder.EncodeRelated(spec, effort, chunk, raw, parents, &convincing, payload);
    repeats = MayRepeat(raw, &scratch_->repeats);
    alone = !convincing || repeats;
  }
  if (alone) {
    Bytes& candidate = scratch_->candidate;
    candidate.clear();
    const ChunkCodec own = encoder.EncodeAlone(spec, effort, raw, &candidate);
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
    QSTORE_TRY(encoder.TryZstd(raw, level, repeats, limit, &codec, payload));
    if (level == Level::kMax) encoder.TryRows(spec, raw, &codec, payload);
  }
  if (payload->size() >= raw.size()) {
    payload->assign(raw.begin(), raw.end());
    codec = ChunkCodec::kRaw;
  }
  return codec;
}

}  // namespace qstore::chain
