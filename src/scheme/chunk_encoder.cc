// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "codec/integer.h"
#include "codec/kernels/kernels.h"
#include "scheme/chunk_coder.h"
#include "scheme/chunk_rows.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;

// At the fast level, the share of the raw size that a code for bytes must get below.
constexpr double kFastWorthwhile = 0.8;

// Tensors below this size take the finer codes at the balanced level too: tables weigh more in
// them, and what a model spends on decoding is in its large tensors. F16 has more candidates in a
// bin, and more to gain.
uint64_t SmallTensor(DType dtype) {
  if (dtype == DType::kBF16) return 0;
  return uint64_t{1} << (dtype == DType::kF16 ? 22 : 20);
}

// docs/decisions/0015-what-codes-may-cost.md.
codec::Effort EffortFor(const ObjectSpec& spec, Level level) {
  if (level == Level::kFast) return codec::Effort::kHuffman;
  if (level == Level::kMax) return codec::Effort::kRans;
  const uint64_t count =
      spec.packed_weights != 0 ? spec.packed_weights : spec.elem_count() * DTypeBlock(spec.dtype);
  if (count >= SmallTensor(spec.dtype)) return codec::Effort::kRuns;
  return spec.dtype == DType::kI8 ? codec::Effort::kFineRuns : codec::Effort::kRans;
}

// At the max level, the share of the size that a model of the rows, or codes by context, must get
// below: they decode many times more slowly than all else.
constexpr double kRowsWorthwhile = 0.995;

// Bytes from the middle of a chunk on which zstd is tried before it gets the whole.
constexpr size_t kProbeBytes = 8192;

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
bool IsOfCodes(const ObjectSpec& spec) { return IsSignedByte(spec) || DTypeBlock(spec.dtype) > 1; }

/// The codecs that a chunk may have, each tried with the memory of one thread.
class Encoder {
 public:
  explicit Encoder(Scratch* scratch) : scratch_(*scratch) {}

  ChunkCodec EncodeAlone(const ObjectSpec& spec, codec::Effort effort,
                         std::span<const std::byte> raw, Bytes* out) {
    ChunkCodec codec = ChunkCodec::kPlanes;
    if (codec::IsCodedFloat(spec.dtype)) {
      codec::EncodeFloats(spec.dtype, effort, raw, &scratch_.planes, out);
      codec = ChunkCodec::kFloat;
    } else if (const auto* layout = codec::LayoutOfBlocks(spec.dtype)) {
      codec::EncodeBlocks(*layout, effort, raw, &scratch_.blocks, out);
      codec = ChunkCodec::kBlocks;
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

  // What parents tell all of has no payload, and so no slack.
  Fit EncodeGiven(const ObjectSpec& spec, codec::Effort effort, uint64_t chunk,
                  std::span<const std::byte> raw, const Given& given, Bytes* out) {
    const ChunkAt at{spec.first_elem(chunk), spec.chunk_elem_count(chunk)};
    const Fit fit = given.bound->Encode(at, given.parents, raw, effort, &scratch_, out);
    if (!out->empty()) AppendSlack(out);
    return fit;
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

  // Replaces *payload if codes by context are worth their time.
  void TryByZero(const ObjectSpec& spec, std::span<const std::byte> raw, ChunkCodec* codec,
                 Bytes* payload) {
    const auto* layout = codec::LayoutOfBlocks(spec.dtype);
    if (layout == nullptr || layout->zeros == nullptr) return;
    scratch_.other.clear();
    codec::EncodeBlocksByZero(*layout, codec::Effort::kRans, raw, &scratch_.blocks,
                              &scratch_.other);
    AppendSlack(&scratch_.other);
    const double limit = kRowsWorthwhile * static_cast<double>(payload->size());
    if (static_cast<double>(scratch_.other.size()) >= limit) return;
    std::swap(*payload, scratch_.other);
    *codec = ChunkCodec::kBlocksByZero;
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
  Scratch& scratch_;
};

}  // namespace

Result<ChunkCodec> ChunkCoder::Encode(const ObjectSpec& spec, Level level, uint64_t chunk,
                                      std::span<const std::byte> raw, const Given& given,
                                      Bytes* payload) {
  QSTORE_TRY(CheckContents(given, {spec.first_elem(chunk), spec.chunk_elem_count(chunk)}));
  payload->clear();
  Encoder encoder(scratch_.get());
  const codec::Effort effort = EffortFor(spec, level);
  ChunkCodec codec = ChunkCodec::kScheme;
  Fit fit = Fit::kNone;
  bool repeats = false;
  if (given.bound != nullptr) {
    fit = encoder.EncodeGiven(spec, effort, chunk, raw, given, payload);
    if (fit == Fit::kSure && payload->empty()) return codec;
    repeats = MayRepeat(raw, &scratch_->repeats);
  }
  if (fit != Fit::kSure || repeats) {
    Bytes& candidate = scratch_->candidate;
    candidate.clear();
    const ChunkCodec own = encoder.EncodeAlone(spec, effort, raw, &candidate);
    // At the fast level bytes stay as they are unless a code gains much: copying beats any decoder.
    const double worthwhile = kFastWorthwhile * static_cast<double>(raw.size());
    const bool keep_raw = level == Level::kFast && IsOfCodes(spec) &&
                          static_cast<double>(candidate.size()) > worthwhile;
    if (keep_raw) candidate.assign(raw.begin(), raw.end());
    if (fit == Fit::kNone || candidate.size() < payload->size()) {
      std::swap(*payload, candidate);
      codec = keep_raw ? ChunkCodec::kRaw : own;
    }
    // zstd decodes more slowly than the codecs for tensors: there it must gain something.
    const double own_size = static_cast<double>(payload->size());
    const bool is_plain = own == ChunkCodec::kPlanes && spec.packed_weights == 0;
    const double limit = keep_raw ? worthwhile : is_plain ? own_size : 0.98 * own_size;
    QSTORE_TRY(encoder.TryZstd(raw, level, repeats, limit, &codec, payload));
    if (level == Level::kMax) {
      encoder.TryRows(spec, raw, &codec, payload);
      encoder.TryByZero(spec, raw, &codec, payload);
    }
  }
  if (payload->size() >= raw.size()) {
    payload->assign(raw.begin(), raw.end());
    codec = ChunkCodec::kRaw;
  }
  return codec;
}

}  // namespace qstore::scheme
