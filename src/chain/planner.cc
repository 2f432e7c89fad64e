// SPDX-License-Identifier: Apache-2.0
#include "chain/planner.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/status_macros.h"

namespace qstore::chain {
namespace {

// Samples are chunks of a finer division of the tensor, coded as chunks are.
constexpr uint64_t kSampleElems = 32768;
constexpr uint64_t kSamples = 3;

// What takes so many times the bytes of the cheapest after some samples is not coded further.
constexpr double kHopeless = 1.5;

// Outputs from which on the words of a sample's outputs are read one by one: a short read takes as
// long as copying some thousand bytes.
constexpr uint64_t kWorthGathering = 2048;

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

/// A tensor coded alone or under a candidate, and what its samples took so far.
struct Contender {
  ObjectSpec spec;
  const Candidate* candidate = nullptr;  // Null: alone.
  std::array<std::vector<std::byte>, kParentRoles> contents;
  ParentBytes parents;
  uint64_t bytes = 0;
};

class Sampler {
 public:
  Sampler(const ObjectSpec& spec, const ByteSource& content, Level level, ChunkCoder* coder)
      : content_(content), level_(level), coder_(coder), spec_(spec) {
    spec_.chunk_elems = SampleElems(spec);
  }

  std::vector<uint64_t> chunks() const { return SampleChunks(spec_); }

  /// Of a chunk that Measure is to be called for next.
  Status ReadChunk(uint64_t chunk) {
    raw_.resize(spec_.chunk_elem_count(chunk) * spec_.elem_bytes());
    return content_.Read(spec_.first_elem(chunk) * spec_.elem_bytes(), raw_);
  }

  /// Adds the bytes that the chunk takes; `spec` and `candidate` are the contender's.
  Status Measure(uint64_t chunk, Contender* contender) {
    ObjectSpec spec = contender->spec;
    spec.chunk_elems = spec_.chunk_elems;
    if (contender->candidate != nullptr) QSTORE_TRY(ReadParents(spec, chunk, contender));
    QSTORE_ASSIGN([[maybe_unused]] const ChunkCodec codec,
                  coder_->Encode(spec, level_, chunk, raw_, contender->parents, &payload_));
    contender->bytes += payload_.size();
    return {};
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

  // All but the base parent are the same for all chunks.
  static Status ReadParents(const ObjectSpec& spec, uint64_t chunk, Contender* contender) {
    auto& contents = contender->contents;
    const auto& sources = contender->candidate->parents;
    for (size_t role = 0; role < kParentRoles; ++role) {
      if (role == kBase || sources[role] == nullptr || !contents[role].empty()) continue;
      QSTORE_TRY(ReadAll(*sources[role], &contents[role]));
    }
    std::optional<base::GptqOutputs> only;
    if (spec.relation != Relation::kGptqFloats) {
      QSTORE_TRY(ReadBaseChunk(*sources[kBase], spec, chunk, &contents[kBase]));
    } else if (spec.parent_shape.outputs >= kWorthGathering) {
      const uint64_t inputs = spec.parent_shape.inputs;
      only = {spec.first_elem(chunk) / inputs, spec.chunk_elem_count(chunk) / inputs};
      QSTORE_TRY(ReadOutputs(*sources[kBase], spec.parent_shape, *only, &contents[kBase]));
    } else if (contents[kBase].empty()) {
      QSTORE_TRY(ReadAll(*sources[kBase], &contents[kBase]));
    }
    contender->parents = {
        contents[kBase],      contents[kScales],   contents[kZeros],     contents[kGroups],
        contents[kOwnScales], contents[kOwnZeros], contents[kOwnGroups], only};
    return {};
  }

  static Status ReadOutputs(const ByteSource& words, const base::GptqShape& shape,
                            const base::GptqOutputs& outputs, std::vector<std::byte>* out) {
    constexpr uint64_t kWord = sizeof(uint32_t);
    const uint64_t rows = shape.inputs * shape.bits / 32;
    const uint64_t size = outputs.count * kWord;
    out->resize(rows * size);
    for (uint64_t r = 0; r < rows; ++r) {
      QSTORE_TRY(words.Read((r * shape.outputs + outputs.first) * kWord,
                            std::span(*out).subspan(r * size, size)));
    }
    return {};
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
  ObjectSpec spec_;  // In chunks that are samples.
  std::vector<std::byte> raw_;
  std::vector<std::byte> payload_;
};

// Codes samples until all are coded or nobody is left beside the cheapest.
Status Compete(Sampler* sampler, std::vector<Contender*> rest) {
  for (const uint64_t chunk : sampler->chunks()) {
    if (rest.size() < 2) break;
    QSTORE_TRY(sampler->ReadChunk(chunk));
    uint64_t least = UINT64_MAX;
    for (Contender* contender : rest) {
      QSTORE_TRY(sampler->Measure(chunk, contender));
      least = std::min(least, contender->bytes);
    }
    std::erase_if(rest, [&](Contender* contender) {
      const bool is_out =
          static_cast<double>(contender->bytes) > kHopeless * static_cast<double>(least);
      if (is_out) contender->bytes = UINT64_MAX;
      return is_out;
    });
  }
  return {};
}

}  // namespace

Result<std::optional<size_t>> ChooseParent(const ObjectSpec& spec, const ByteSource& content,
                                           std::span<const Candidate> candidates, Level level,
                                           ChunkCoder* coder) {
  std::optional<size_t> best;
  if (candidates.empty() || spec.byte_size == 0) return best;
  std::vector<Contender> contenders(1 + candidates.size());
  contenders[0].spec = spec;
  for (size_t i = 0; i < candidates.size(); ++i) {
    contenders[i + 1].spec = candidates[i].spec;
    contenders[i + 1].candidate = &candidates[i];
  }
  std::vector<Contender*> all;
  all.reserve(contenders.size());
  for (Contender& contender : contenders) all.push_back(&contender);
  // What a sample costs at level max differs little from balanced, but takes far longer to find.
  Sampler sampler(spec, content, std::min(level, Level::kBalanced), coder);
  QSTORE_TRY(Compete(&sampler, all));
  double limit = kWorthwhile * static_cast<double>(contenders[0].bytes);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto bytes = static_cast<double>(contenders[i + 1].bytes);
    if (bytes < limit) {
      limit = bytes;
      best = i;
    }
  }
  return best;
}

}  // namespace qstore::chain
