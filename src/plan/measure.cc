// SPDX-License-Identifier: Apache-2.0
#include "plan/measure.h"

#include <algorithm>
#include <vector>

#include "base/status_macros.h"

namespace qstore::plan {
namespace {

using scheme::ChunkAt;
using scheme::ChunkCoder;
using scheme::ObjectSpec;
using scheme::ParentContent;
using scheme::Region;
using scheme::Take;

// Samples are chunks of a finer division of the tensor, coded as chunks are.
constexpr uint64_t kSampleWeights = 32768;
constexpr uint64_t kSamples = 3;

// What takes so many times the bytes of the cheapest after some samples is not coded further.
constexpr double kHopeless = 1.5;

// Bytes between the runs of a region from which on they are read one by one: a short read takes as
// long as copying some thousand bytes.
constexpr uint64_t kWorthGathering = 8192;

std::vector<uint64_t> SampleChunks(const ObjectSpec& spec) {
  const uint64_t count = spec.chunk_count();
  std::vector<uint64_t> chunks;
  for (uint64_t s = 0; s < std::min(kSamples, count); ++s) {
    chunks.push_back(count <= kSamples ? s : (2 * s + 1) * count / (2 * kSamples));
  }
  return chunks;
}

// Rows, and what words hold together, must stay whole.
uint64_t SampleElems(const ObjectSpec& spec) {
  if (spec.sample_elems != 0) return spec.sample_elems;
  const uint64_t elems = kSampleWeights / DTypeBlock(spec.dtype);
  const uint64_t rows = std::max<uint64_t>(1, elems / spec.row_elems);
  return std::min(spec.chunk_elems, rows * spec.row_elems);
}

// In chunks that are samples.
ObjectSpec InSamples(ObjectSpec spec, std::span<const Candidate> candidates) {
  spec.chunk_elems = SampleElems(spec);
  // Parents may have few chunks of the child's own length, and many of those that it then has.
  for (const Candidate& candidate : candidates) {
    spec.chunk_elems = std::min(spec.chunk_elems, candidate.bound->child().chunk_elems);
  }
  return spec;
}

/// A tensor coded alone or under a candidate, and what its samples took so far.
struct Contender {
  const Candidate* candidate = nullptr;  // Null: alone.
  std::vector<std::vector<std::byte>> contents;
  std::vector<ParentContent> parents;
  uint64_t bytes = 0;
  uint64_t samples = 0;
};

class Sampler {
 public:
  // The chunks of `spec` are the samples.
  Sampler(const ObjectSpec& spec, const ByteSource& content, Level level, ChunkCoder* coder)
      : content_(content), level_(level), coder_(coder), spec_(spec) {}

  std::vector<uint64_t> chunks() const { return SampleChunks(spec_); }

  /// Of all of the object, as its samples say.
  double Estimate(const Contender& contender) const {
    const auto per_sample =
        static_cast<double>(contender.bytes) / static_cast<double>(contender.samples);
    const auto sample_bytes = static_cast<double>(spec_.chunk_elem_count(0) * spec_.elem_bytes());
    return per_sample * static_cast<double>(spec_.byte_size) / sample_bytes;
  }

  /// Of a chunk that Measure is to be called for next.
  Status ReadChunk(uint64_t chunk) {
    raw_.resize(spec_.chunk_elem_count(chunk) * spec_.elem_bytes());
    return content_.Read(spec_.first_elem(chunk) * spec_.elem_bytes(), raw_);
  }

  /// Adds the bytes that the chunk takes.
  Result<CodedSize> Measure(uint64_t chunk, Contender* contender) {
    scheme::Given given;
    if (contender->candidate != nullptr) {
      QSTORE_TRY(ReadParents({spec_.first_elem(chunk), spec_.chunk_elem_count(chunk)}, contender));
      given = {contender->candidate->bound, contender->parents};
    }
    QSTORE_ASSIGN(const ChunkCodec codec,
                  coder_->Encode(spec_, level_, chunk, raw_, given, &payload_));
    contender->bytes += payload_.size();
    ++contender->samples;
    return CodedSize{codec, payload_.size()};
  }

 private:
  // What is taken whole is the same for all samples, unless a part of it is worth gathering.
  static Status ReadParents(const ChunkAt& at, Contender* contender) {
    const scheme::Bound& bound = *contender->candidate->bound;
    contender->contents.resize(bound.parent_count());
    contender->parents.resize(bound.parent_count());
    for (size_t p = 0; p < bound.parent_count(); ++p) {
      auto& content = contender->contents[p];
      const ByteSource& source = *contender->candidate->parents[p];
      const Region need = bound.NeedOf(p, at);
      const bool is_part =
          bound.TakeOf(p) != Take::kWhole || (need.runs > 1 && need.stride >= kWorthGathering);
      if (is_part) {
        QSTORE_TRY(ReadRegion(source, need, &content));
      } else if (content.empty()) {
        content.resize(source.size());
        QSTORE_TRY(source.Read(0, content));
      }
      contender->parents[p] = {content, !is_part};
    }
    return {};
  }

  static Status ReadRegion(const ByteSource& source, const Region& region,
                           std::vector<std::byte>* out) {
    out->resize(region.size());
    if (region.size() > 0 && region.runs > 1 && region.stride < kWorthGathering) {
      std::vector<std::byte> span(region.end() - region.begin);
      QSTORE_TRY(source.Read(region.begin, span));
      CopyRegion(region, region.begin, span, *out);
      return {};
    }
    for (uint64_t r = 0; r < region.runs; ++r) {
      QSTORE_TRY(source.Read(region.begin + r * region.stride,
                             std::span(*out).subspan(r * region.run, region.run)));
    }
    return {};
  }

  const ByteSource& content_;
  Level level_;
  ChunkCoder* coder_;
  ObjectSpec spec_;
  std::vector<std::byte> raw_;
  std::vector<std::byte> payload_;
};

// Codes samples until all are coded or nobody is left beside the cheapest. That something takes no
// bytes at all is seen on all of them.
Status Compete(Sampler* sampler, std::vector<Contender*> rest) {
  for (const uint64_t chunk : sampler->chunks()) {
    if (rest.size() == 1 && rest[0]->bytes > 0) break;
    QSTORE_TRY(sampler->ReadChunk(chunk));
    uint64_t least = UINT64_MAX;
    for (Contender* contender : rest) {
      QSTORE_TRY(sampler->Measure(chunk, contender).status());
      least = std::min(least, contender->bytes);
    }
    std::erase_if(rest, [&](const Contender* contender) {
      return static_cast<double>(contender->bytes) > kHopeless * static_cast<double>(least);
    });
  }
  return {};
}

}  // namespace

Result<Measured> Measure(const ObjectSpec& spec, const ByteSource& content,
                         std::span<const Candidate> candidates, Level level, ChunkCoder* coder) {
  Measured measured;
  measured.given.resize(candidates.size());
  if (spec.byte_size == 0) return measured;
  std::vector<Contender> contenders(1 + candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) contenders[i + 1].candidate = &candidates[i];
  std::vector<Contender*> all;
  all.reserve(contenders.size());
  for (Contender& contender : contenders) all.push_back(&contender);
  // What a sample costs at level max differs little from balanced, but takes far longer to find.
  Sampler sampler(InSamples(spec, candidates), content, std::min(level, Level::kBalanced), coder);
  QSTORE_TRY(Compete(&sampler, all));
  measured.alone = sampler.Estimate(contenders[0]);
  for (size_t i = 0; i < candidates.size(); ++i) {
    measured.given[i] = sampler.Estimate(contenders[i + 1]);
  }
  return measured;
}

Result<std::vector<CodedSize>> CodeChunks(const ObjectSpec& spec, const ByteSource& content,
                                          const Candidate* edge, Level level,
                                          std::span<const uint64_t> chunks, ChunkCoder* coder) {
  Sampler sampler(spec, content, level, coder);
  Contender contender;
  contender.candidate = edge;
  std::vector<CodedSize> sizes;
  sizes.reserve(chunks.size());
  for (const uint64_t chunk : chunks) {
    QSTORE_TRY(sampler.ReadChunk(chunk));
    QSTORE_ASSIGN(const CodedSize size, sampler.Measure(chunk, &contender));
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace qstore::plan
