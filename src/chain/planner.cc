// SPDX-License-Identifier: Apache-2.0
#include "chain/planner.h"

#include <algorithm>
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
      : spec_(spec), content_(content), level_(level), coder_(coder) {
    spec_.chunk_elems = std::min(spec_.chunk_elems, kSampleElems);
    chunks_ = SampleChunks(spec_);
  }

  /// Bytes that the samples take under `candidate`, or alone when it is null.
  Result<uint64_t> Measure(const Candidate* candidate) {
    ObjectSpec spec = spec_;
    std::vector<std::byte> scales;
    if (candidate != nullptr) {
      spec.relation = candidate->relation;
      spec.parent_dtype = candidate->parent_dtype;
      if (candidate->scales != nullptr) QSTORE_TRY(ReadAll(*candidate->scales, &scales));
    }
    uint64_t total = 0;
    for (uint64_t chunk : chunks_) {
      std::vector<std::byte> raw;
      std::vector<std::byte> parent;
      QSTORE_TRY(ReadChunk(content_, spec, chunk, spec.elem_bytes(), &raw));
      if (candidate != nullptr) {
        const uint64_t elem = DTypeBits(candidate->parent_dtype) / 8;
        QSTORE_TRY(ReadChunk(*candidate->base, spec, chunk, elem, &parent));
      }
      QSTORE_ASSIGN([[maybe_unused]] const ChunkCodec codec,
                    coder_->Encode(spec, level_, chunk, raw, {parent, scales}, &payload_));
      total += payload_.size();
    }
    return total;
  }

 private:
  static Status ReadAll(const ByteSource& source, std::vector<std::byte>* out) {
    out->resize(source.size());
    return source.Read(0, *out);
  }

  static Status ReadChunk(const ByteSource& source, const ObjectSpec& spec, uint64_t chunk,
                          uint64_t elem_bytes, std::vector<std::byte>* out) {
    out->resize(spec.chunk_elem_count(chunk) * elem_bytes);
    return source.Read(spec.first_elem(chunk) * elem_bytes, *out);
  }

  ObjectSpec spec_;
  const ByteSource& content_;
  Level level_;
  ChunkCoder* coder_;
  std::vector<uint64_t> chunks_;
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
  QSTORE_ASSIGN(const uint64_t alone, sampler.Measure(nullptr));
  double limit = kWorthwhile * static_cast<double>(alone);
  for (size_t i = 0; i < candidates.size(); ++i) {
    QSTORE_ASSIGN(const uint64_t bytes, sampler.Measure(&candidates[i]));
    if (static_cast<double>(bytes) < limit) {
      limit = static_cast<double>(bytes);
      best = i;
    }
  }
  return best;
}

}  // namespace qstore::chain
