// SPDX-License-Identifier: Apache-2.0
#include "chain/planner.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/status_macros.h"

namespace qstore::chain {
namespace {

// Samples are chunks of a finer division of the tensor, coded as chunks are.
constexpr uint64_t kSampleElems = 32768;
constexpr uint64_t kSamples = 3;

// A parent must gain this share of the bytes, or it is not worth reading.
constexpr double kWorthwhile = 0.98;

std::vector<uint64_t> SampleChunks(const ObjectSpec& spec) {
  const uint64_t count = spec.chunk_count();
  std::vector<uint64_t> chunks;
  for (uint64_t s = 0; s < std::min(kSamples, count); ++s) {
    chunks.push_back(count <= kSamples ? s : (2 * s + 1) * count / (2 * kSamples));
  }
  return chunks;
}

class Sampler {
 public:
  Sampler(const ObjectSpec& spec, const ByteSource& content, Level level, ChunkCoder* coder)
      : content_(content), level_(level), coder_(coder), chunk_elems_(SampleElems(spec)) {}

  /// Bytes that the samples take under `spec`, a spec of the target, and the parents of
  /// `candidate`, if any.
  Result<uint64_t> Measure(ObjectSpec spec, const Candidate* candidate) {
    spec.chunk_elems = chunk_elems_;
    std::array<std::vector<std::byte>, kParentRoles> contents;
    for (size_t role = 0; candidate != nullptr && role < kParentRoles; ++role) {
      const bool by_chunks = role == kBase && spec.relation != Relation::kGptqFloats;
      if (candidate->parents[role] == nullptr || by_chunks) continue;
      QSTORE_TRY(ReadAll(*candidate->parents[role], &contents[role]));
    }
    ParentBytes parents{contents[kBase],     contents[kScales],    contents[kZeros],
                        contents[kGroups],   contents[kOwnScales], contents[kOwnZeros],
                        contents[kOwnGroups]};
    uint64_t total = 0;
    for (const uint64_t chunk : SampleChunks(spec)) {
      std::vector<std::byte> raw(spec.chunk_elem_count(chunk) * spec.elem_bytes());
      QSTORE_TRY(content_.Read(spec.first_elem(chunk) * spec.elem_bytes(), raw));
      std::vector<std::byte> base;
      if (candidate != nullptr && spec.relation != Relation::kGptqFloats) {
        QSTORE_TRY(ReadBaseChunk(*candidate->parents[kBase], spec, chunk, &base));
        parents.base = base;
      }
      QSTORE_ASSIGN([[maybe_unused]] const ChunkCodec codec,
                    coder_->Encode(spec, level_, chunk, raw, parents, &payload_));
      total += payload_.size();
    }
    return total;
  }

 private:
  // Rows, and the inputs of packed integers, must stay whole.
  static uint64_t SampleElems(const ObjectSpec& spec) {
    if (spec.shape.bits != 0 && ChooseGptqChunkElems(spec.shape) == spec.chunk_elems) {
      return spec.shape.bits * spec.shape.outputs;
    }
    const uint64_t rows = std::max<uint64_t>(1, kSampleElems / spec.row_elems);
    return std::min(spec.chunk_elems, rows * spec.row_elems);
  }

  static Status ReadBaseChunk(const ByteSource& base, const ObjectSpec& spec, uint64_t chunk,
                              std::vector<std::byte>* out) {
    uint64_t begin = spec.first_elem(chunk);
    uint64_t count = spec.chunk_elem_count(chunk);
    uint64_t elem = DTypeBits(spec.parent_dtype) / 8;
    if (spec.relation == Relation::kGptqIntegers) {
      begin = begin / spec.shape.bits * spec.parent_shape.bits;
      count = count / spec.shape.bits * spec.parent_shape.bits;
      elem = sizeof(uint32_t);
    }
    out->resize(count * elem);
    return base.Read(begin * elem, *out);
  }

  static Status ReadAll(const ByteSource& source, std::vector<std::byte>* out) {
    out->resize(source.size());
    return source.Read(0, *out);
  }

  const ByteSource& content_;
  Level level_;
  ChunkCoder* coder_;
  uint64_t chunk_elems_;
  std::vector<std::byte> payload_;
};

}  // namespace

Result<std::optional<size_t>> ChooseParent(const ObjectSpec& spec, const ByteSource& content,
                                           std::span<const Candidate> candidates, Level level,
                                           ChunkCoder* coder) {
  std::optional<size_t> best;
  if (candidates.empty() || spec.byte_size == 0) return best;
  // What a sample costs at level max differs little from balanced, but takes far longer to find.
  Sampler sampler(spec, content, std::min(level, Level::kBalanced), coder);
  QSTORE_ASSIGN(const uint64_t alone, sampler.Measure(spec, nullptr));
  double limit = kWorthwhile * static_cast<double>(alone);
  for (size_t i = 0; i < candidates.size(); ++i) {
    QSTORE_ASSIGN(const uint64_t bytes, sampler.Measure(candidates[i].spec, &candidates[i]));
    if (static_cast<double>(bytes) < limit) {
      limit = static_cast<double>(bytes);
      best = i;
    }
  }
  return best;
}

}  // namespace qstore::chain
