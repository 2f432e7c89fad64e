// SPDX-License-Identifier: Apache-2.0
#include "store/estimate_objects.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/chunk_samples.h"

namespace qstore::store {
namespace {

using plan::CodedSize;
using scheme::ObjectSpec;

// Chunks of an object that one thread codes at a time.
constexpr size_t kTaskChunks = 8;
// Level max codes many times more slowly than balanced, and a few percent better. How much better,
// so many pieces of each kind of object tell, each as long as so many chunks of balanced. A model
// of rows learns too little in shorter ones.
constexpr size_t kPieces = 3;
constexpr uint64_t kPieceChunks = 2;

/// Samples of one object that one thread codes.
struct Task {
  size_t begin = 0;  // In ChunkSamples::places.
  size_t end = 0;
};

/// A part of a sample, coded at level max and at balanced.
struct SampledPiece {
  ChunkPlace place;  // In pieces of the object.
  size_t kind = 0;
  double max_bytes = 0;
  double balanced_bytes = 0;
};

class Estimator {
 public:
  Estimator(const PackPlan& plan, const EstimateOptions& options)
      : plan_(plan), options_(options), coders_(options.threads) {}

  Result<EncodedObjects> Run() {
    QSTORE_ASSIGN(encoded_, LayOutObjects(plan_, options_.sha256));
    samples_ = ChooseSamples(plan_, encoded_);
    factors_.assign(samples_.places.size(), 1.0);
    QSTORE_TRY(CodeSamples());
    if (options_.level == Level::kMax) QSTORE_TRY(FindFactors());
    FillChunks();
    FillDigests();
    return std::move(encoded_);
  }

 private:
  template <class Work>
  Status ForEach(size_t count, const Work& work) const {
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    return base::RunPipeline(count, {options_.threads, size_t{4} * options_.threads}, work, retire);
  }

  Status CodeSamples() {
    std::vector<Task> tasks;
    for (size_t s = 0; s < samples_.places.size(); ++s) {
      const bool goes_on = !tasks.empty() && s - tasks.back().begin < kTaskChunks &&
                           samples_.places[tasks.back().begin].object == samples_.places[s].object;
      if (!goes_on) tasks.push_back({s, s});
      tasks.back().end = s + 1;
    }
    sizes_.resize(samples_.places.size());
    return ForEach(tasks.size(), [&](const base::PipelineItem& item) -> Status {
      const Task& task = tasks[item.index];
      const uint32_t id = samples_.places[task.begin].object;
      std::vector<uint64_t> chunks;
      for (size_t s = task.begin; s < task.end; ++s) chunks.push_back(samples_.places[s].chunk);
      const Level level = std::min(options_.level, Level::kBalanced);
      QSTORE_ASSIGN(const auto sizes,
                    Code(id, plan_.objects[id].spec, level, chunks, &coders_[item.worker]));
      std::copy(sizes.begin(), sizes.end(), sizes_.begin() + static_cast<ptrdiff_t>(task.begin));
      return {};
    });
  }

  // `spec` is that of the object, but for the length of chunks.
  Result<std::vector<CodedSize>> Code(uint32_t id, const ObjectSpec& spec, Level level,
                                      std::span<const uint64_t> chunks,
                                      scheme::ChunkCoder* coder) const {
    const PlannedObject& object = plan_.objects[id];
    SampleKey key(&plan_);
    key.AddObject(id);
    key.AddEdge(object.scheme_id, object.params, object.parents, spec.chunk_elems);
    key.AddNumber(static_cast<uint64_t>(level));
    for (const uint64_t chunk : chunks) key.AddNumber(chunk);
    if (auto known = options_.samples->chunks.Find(key)) return std::move(*known);

    std::vector<PartSource> parents;
    parents.reserve(object.parents.size());
    plan::Candidate edge{object.bound.get(), {}};
    for (const uint32_t parent : object.parents) {
      edge.parents.push_back(&parents.emplace_back(SourceOf(plan_.objects[parent])));
    }
    auto sizes = plan::CodeChunks(spec, SourceOf(object), object.bound ? &edge : nullptr, level,
                                  chunks, coder);
    if (!sizes.ok()) {
      return sizes.status().WithContext(plan_.file(object.place).source.string());
    }
    options_.samples->chunks.Put(key, *sizes);
    return sizes;
  }

  PartSource SourceOf(const PlannedObject& object) const {
    return {plan_.file(object.place), plan_.part(object.place)};
  }

  // In pieces, where the chunks of level max are longer.
  static ObjectSpec InPieces(ObjectSpec spec) {
    if (spec.packed_weights != 0) return spec;
    const uint64_t piece =
        kPieceChunks * scheme::ChooseChunkElems(spec.row_elems, Level::kBalanced);
    spec.chunk_elems = std::min(spec.chunk_elems, piece);
    return spec;
  }

  // By kind: how much smaller the pieces are at level max than at balanced.
  Status FindFactors() {
    const auto kinds = SamplesByKind();
    std::vector<SampledPiece> pieces;
    for (size_t k = 0; k < kinds.size(); ++k) ChoosePieces(kinds[k], k, &pieces);
    QSTORE_TRY(ForEach(pieces.size(), [&](const base::PipelineItem& item) {
      return CodePiece(&pieces[item.index], &coders_[item.worker]);
    }));
    for (size_t k = 0; k < kinds.size(); ++k) {
      double max_bytes = 0;
      double balanced_bytes = 0;
      for (const SampledPiece& piece : pieces) {
        if (piece.kind != k) continue;
        max_bytes += piece.max_bytes;
        balanced_bytes += piece.balanced_bytes;
      }
      if (balanced_bytes == 0) continue;
      for (const size_t s : kinds[k]) factors_[s] = max_bytes / balanced_bytes;
    }
    return {};
  }

  std::vector<std::vector<size_t>> SamplesByKind() const {
    std::map<std::string, size_t> by_kind;
    std::vector<std::vector<size_t>> kinds;
    for (size_t s = 0; s < samples_.places.size(); ++s) {
      const auto [found, is_new] =
          by_kind.try_emplace(KindOf(plan_, samples_.places[s].object), kinds.size());
      if (is_new) kinds.emplace_back();
      kinds[found->second].push_back(s);
    }
    return kinds;
  }

  // Spread evenly over the bytes of the samples.
  void ChoosePieces(const std::vector<size_t>& samples, size_t kind,
                    std::vector<SampledPiece>* pieces) {
    double total = 0;
    for (const size_t s : samples) total += static_cast<double>(sizes_[s].bytes);
    double before = 0;
    size_t chosen = 0;
    for (const size_t s : samples) {
      before += static_cast<double>(sizes_[s].bytes);
      const auto due = [&] {
        return before >= total * (static_cast<double>(chosen) + 0.5) / kPieces;
      };
      for (; chosen < kPieces && due() && sizes_[s].bytes > 0; ++chosen) {
        const ChunkPlace& sample = samples_.places[s];
        const ObjectSpec& spec = plan_.objects[sample.object].spec;
        const ObjectSpec in_pieces = InPieces(spec);
        const uint64_t first = spec.first_elem(sample.chunk) / in_pieces.chunk_elems;
        const uint64_t count =
            std::max<uint64_t>(1, spec.chunk_elem_count(sample.chunk) / in_pieces.chunk_elems);
        const auto piece = static_cast<uint32_t>(first + Mixed(chosen) % count);
        pieces->push_back({{sample.object, piece}, kind});
      }
    }
  }

  Status CodePiece(SampledPiece* piece, scheme::ChunkCoder* coder) const {
    const uint32_t id = piece->place.object;
    const ObjectSpec spec = InPieces(plan_.objects[id].spec);
    const uint64_t chunks[] = {piece->place.chunk};
    QSTORE_ASSIGN(const auto at_max, Code(id, spec, Level::kMax, chunks, coder));
    QSTORE_ASSIGN(const auto balanced, Code(id, spec, Level::kBalanced, chunks, coder));
    piece->max_bytes = static_cast<double>(at_max[0].bytes);
    piece->balanced_bytes = static_cast<double>(balanced[0].bytes);
    return {};
  }

  uint64_t RawBytes(const ChunkPlace& place) const {
    const ObjectSpec& spec = plan_.objects[place.object].spec;
    return spec.chunk_elem_count(place.chunk) * spec.elem_bytes();
  }

  void FillChunks() {
    uint64_t offset = format::Header::kEncodedSize;
    uint32_t number = 0;
    for (uint32_t id = 0; id < encoded_.objects.size(); ++id) {
      for (uint32_t c = 0; c < encoded_.objects[id].chunk_count; ++c, ++number) {
        FillChunk({id, c}, samples_.of_chunk[number], &encoded_.chunks[number]);
        encoded_.chunks[number].offset = offset;
        encoded_.chunks[number].checksum = Mixed(number);
        offset += encoded_.chunks[number].stored_size;
      }
    }
  }

  void FillChunk(const ChunkPlace& place, uint32_t sample, format::ChunkEntry* entry) const {
    const auto raw = static_cast<double>(RawBytes(place));
    const double share = static_cast<double>(sizes_[sample].bytes) /
                         static_cast<double>(RawBytes(samples_.places[sample]));
    const double bytes = std::min(raw, std::round(factors_[sample] * share * raw));
    entry->codec = sizes_[sample].codec;
    // Level max may shrink what balanced keeps as it is.
    if (entry->codec == ChunkCodec::kRaw && bytes < raw) entry->codec = ChunkCodec::kZstd;
    entry->stored_size = static_cast<uint32_t>(bytes);
  }

  // An index of zeros would be smaller.
  void FillDigests() {
    uint64_t number = 0;
    const auto fill = [&](auto* digest) {
      for (size_t at = 0; at < digest->size(); at += sizeof(uint64_t)) {
        const uint64_t word = Mixed(number++);
        std::memcpy(digest->data() + at, &word, sizeof(word));
      }
    };
    for (auto& of_variant : encoded_.digests) {
      for (EncodedObjects::Digests& digests : of_variant) {
        fill(&digests.xxh3);
        if (encoded_.has_sha256) fill(&digests.sha256);
      }
    }
  }

  const PackPlan& plan_;
  const EstimateOptions& options_;
  std::vector<scheme::ChunkCoder> coders_;
  EncodedObjects encoded_;
  ChunkSamples samples_;
  std::vector<CodedSize> sizes_;  // By sample.
  std::vector<double> factors_;   // By sample: what to multiply its size with.
};

}  // namespace

Result<EncodedObjects> EstimateObjects(const PackPlan& plan, const EstimateOptions& options) {
  return Estimator(plan, options).Run();
}

}  // namespace qstore::store
