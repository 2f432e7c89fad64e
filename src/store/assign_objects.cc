// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/pack_plan.h"
#include "store/packing.h"
#include "store/read_windows.h"

namespace qstore::store {
namespace {

/// Which bytes of two parts are compared: blocks, spread evenly where there are more of them.
struct Comparing {
  uint64_t block_bytes;
  uint64_t most_blocks;
};
constexpr Comparing kWhole = {uint64_t{1} << 20, UINT64_MAX};
constexpr Comparing kSampled = {uint64_t{64} << 10, 4};
constexpr uint64_t kSampleBytes = 256;
constexpr uint64_t kSamples = 4;
// Parts of equal samples and different content: so many contents are told apart, further parts are
// stored without a look for their equals.
constexpr int kRounds = 4;

// Blocks that one item of the pipeline compares, and their bytes: of tiny parts many.
constexpr uint64_t kItemBlocks = 1024;
constexpr uint64_t kItemBytes = uint64_t{1} << 20;

using Bytes = std::vector<std::byte>;
/// Positions in the list of places of parts that may be equal, the first in coding order in front,
/// or one that has an object already.
using Alike = std::vector<size_t>;

class Equals {
 public:
  Equals(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), comparing_(options.by_samples ? kSampled : kWhole) {
    for (uint32_t v = plan_.stored_variants(); v < plan_.variants.size(); ++v) {
      for (const uint32_t f : CodingOrder(plan_.variants[v])) {
        for (uint32_t p = 0; p < plan_.variants[v].files[f].parts.size(); ++p) {
          places_.push_back({v, f, p});
        }
      }
    }
    first_.resize(places_.size());
    for (size_t i = 0; i < places_.size(); ++i) first_[i] = i;
  }

  Status Find() {
    QSTORE_ASSIGN(std::vector<Alike> groups, GroupBySamples());
    for (int round = 0; round < kRounds && !groups.empty(); ++round) {
      QSTORE_ASSIGN(groups, CompareWithFirst(groups));
    }
    return {};
  }

  void Assign() {
    std::vector<SourceTables> tables;
    tables.reserve(plan_.variants.size());
    for (const SourceVariant& variant : plan_.variants) tables.emplace_back(variant);
    size_t count = plan_.objects.size();
    for (size_t i = 0; i < places_.size(); ++i) count += first_[i] == i ? 1 : 0;
    plan_.objects.reserve(count);
    for (size_t i = 0; i < places_.size(); ++i) {
      SourcePart& part = plan_.part(places_[i]);
      if (part.object != kNoObject) continue;
      if (first_[i] != i) {
        part.object = plan_.part(places_[first_[i]]).object;
        continue;
      }
      part.object = static_cast<uint32_t>(plan_.objects.size());
      PlannedObject& object = plan_.objects.emplace_back();
      object.place = places_[i];
      object.spec = Spec(places_[i], tables);
    }
  }

 private:
  scheme::ObjectSpec Spec(const PartPlace& place, const std::vector<SourceTables>& tables) const {
    const SourceFileEntry& file = plan_.file(place);
    const uint64_t size = file.parts[place.part].size();
    const uint32_t t = file.parts[place.part].tensor;
    if (t == kNoTensor) {
      return scheme::SpecFor(DType::kU8, {}, size);
    }
    const container::Tensor& tensor = file.tensors[t];
    scheme::ObjectSpec spec = scheme::SpecFor(tensor.dtype, tensor.shape, size, plan_.cut_level);
    const SourceTable& own = tables[place.variant].Near(file.path);
    std::vector<const scheme::TensorTable*> others;
    for (size_t v = 0; v < tables.size(); ++v) {
      if (v != place.variant) others.push_back(&tables[v].Near(file.path));
    }
    const scheme::TensorDesc target{tensor.name, tensor.dtype, tensor.shape};
    SetPacking(target, own, others, plan_.cut_level, &spec);
    return spec;
  }

  Result<uint64_t> SampleHash(const PartPlace& place, ReadWindows* windows) const {
    const SourcePart& part = plan_.part(place);
    const ByteSource& file = *plan_.file(place).file;
    std::array<std::byte, kSamples * kSampleBytes> samples;
    const uint64_t size = part.size();
    if (size <= samples.size()) {
      const auto all = std::span(samples).first(static_cast<size_t>(size));
      QSTORE_TRY(windows->Read(file, part.begin, all));
      return base::Hash64(all);
    }
    for (uint64_t s = 0; s < kSamples; ++s) {
      const uint64_t at = (size - kSampleBytes) / (2 * kSamples) * (2 * s + 1);
      QSTORE_TRY(
          file.Read(part.begin + at, std::span(samples).subspan(s * kSampleBytes, kSampleBytes)));
    }
    return base::Hash64(samples);
  }

  struct Sample {
    uint64_t size;
    uint64_t hash;
    bool is_new;   // Has no object of the archive. Of those that have one the first stands for all.
    size_t place;  // In places_.
  };

  // Of parts that are not the only ones of their size, those of equal samples side by side.
  Result<std::vector<Sample>> SortedSamples() const {
    std::unordered_map<uint64_t, size_t> of_size;
    for (const PartPlace& place : places_) ++of_size[plan_.part(place).size()];
    std::vector<Sample> samples;
    ReadWindows windows;
    for (size_t i = 0; i < places_.size(); ++i) {
      const uint64_t size = plan_.part(places_[i]).size();
      if (of_size[size] < 2) continue;
      QSTORE_ASSIGN(const uint64_t hash, SampleHash(places_[i], &windows));
      samples.push_back({size, hash, plan_.part(places_[i]).object == kNoObject, i});
      QSTORE_TRY(options_.poll());
    }
    std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
      return std::tie(a.size, a.hash, a.is_new, a.place) <
             std::tie(b.size, b.hash, b.is_new, b.place);
    });
    return samples;
  }

  Result<std::vector<Alike>> GroupBySamples() const {
    QSTORE_ASSIGN(const std::vector<Sample> samples, SortedSamples());
    std::vector<Alike> alike;
    for (size_t begin = 0, end = 0; begin < samples.size(); begin = end) {
      const auto is_like = [&](const Sample& sample) {
        return sample.size == samples[begin].size && sample.hash == samples[begin].hash;
      };
      while (end < samples.size() && is_like(samples[end])) ++end;
      if (end - begin < 2) continue;
      Alike group;
      for (size_t i = begin; i < end; ++i) {
        if (i == begin || samples[i].is_new) group.push_back(samples[i].place);
      }
      if (group.size() > 1) alike.push_back(std::move(group));
    }
    return alike;
  }

  struct Comparison {
    size_t group;
    size_t first;
    size_t other;
    uint64_t end_block;  // Blocks of this comparison and of those before it.
    std::atomic<bool>* differs;
  };

  // Compares every part with the first of its group; those that differ form the groups of the next
  // round.
  Result<std::vector<Alike>> CompareWithFirst(const std::vector<Alike>& groups) {
    std::vector<Comparison> comparisons;
    uint64_t blocks = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      for (size_t k = 1; k < groups[g].size(); ++k) {
        const uint64_t size = plan_.part(places_[groups[g][0]]).size();
        blocks += BlockCount(size);
        comparisons.push_back({g, groups[g][0], groups[g][k], blocks, nullptr});
      }
    }
    std::vector<std::atomic<bool>> differs(comparisons.size());
    for (size_t c = 0; c < comparisons.size(); ++c) comparisons[c].differs = &differs[c];
    QSTORE_TRY(RunComparisons(comparisons));

    std::vector<Alike> rest(groups.size());
    for (const Comparison& comparison : comparisons) {
      if (*comparison.differs) {
        rest[comparison.group].push_back(comparison.other);
      } else {
        first_[comparison.other] = comparison.first;
      }
    }
    std::erase_if(rest, [](const Alike& group) { return group.size() < 2; });
    return rest;
  }

  // Where the blocks of an item end, by item.
  std::vector<uint64_t> ItemEnds(const std::vector<Comparison>& comparisons) const {
    std::vector<uint64_t> ends;
    uint64_t block = 0;
    uint64_t first = 0;  // Of the item at hand.
    uint64_t bytes = 0;
    for (const Comparison& comparison : comparisons) {
      const uint64_t size =
          std::min(comparing_.block_bytes, plan_.part(places_[comparison.first]).size());
      for (; block < comparison.end_block; ++block, bytes += size) {
        if (block == first || (block - first < kItemBlocks && bytes + size <= kItemBytes)) continue;
        ends.push_back(block);
        first = block;
        bytes = 0;
      }
    }
    if (block > first) ends.push_back(block);
    return ends;
  }

  Status RunComparisons(const std::vector<Comparison>& comparisons) const {
    struct Worker {
      std::pair<Bytes, Bytes> buffers;
      ReadWindows windows;
    };
    std::vector<Worker> workers(options_.threads);
    const std::vector<uint64_t> ends = ItemEnds(comparisons);
    const auto work = [&](const base::PipelineItem& item) -> Status {
      uint64_t block = item.index == 0 ? 0 : ends[item.index - 1];
      auto at = std::upper_bound(
          comparisons.begin(), comparisons.end(), block,
          [](uint64_t number, const Comparison& c) { return number < c.end_block; });
      for (; block < ends[item.index]; ++block) {
        if (block == at->end_block) ++at;
        const uint64_t first = at == comparisons.begin() ? 0 : (at - 1)->end_block;
        Worker& worker = workers[item.worker];
        QSTORE_TRY(CompareBlock(*at, block - first, &worker.buffers, &worker.windows));
      }
      return {};
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    return base::RunPipeline(ends.size(), {options_.threads, size_t{4} * options_.threads}, work,
                             retire);
  }

  uint64_t BlockCount(uint64_t size) const {
    const uint64_t blocks = (size + comparing_.block_bytes - 1) / comparing_.block_bytes;
    return std::clamp<uint64_t>(blocks, 1, comparing_.most_blocks);
  }

  // The first and the last bytes are among those of some block.
  uint64_t BlockOffset(uint64_t size, uint64_t block) const {
    if (size <= comparing_.block_bytes * BlockCount(size)) return block * comparing_.block_bytes;
    return (size - comparing_.block_bytes) * block / (comparing_.most_blocks - 1);
  }

  Status CompareBlock(const Comparison& comparison, uint64_t block,
                      std::pair<Bytes, Bytes>* buffers, ReadWindows* windows) const {
    if (*comparison.differs) return {};
    const PartPlace& a = places_[comparison.first];
    const PartPlace& b = places_[comparison.other];
    const uint64_t offset = BlockOffset(plan_.part(a).size(), block);
    const uint64_t size = std::min(comparing_.block_bytes, plan_.part(a).size() - offset);
    QSTORE_TRY(ReadBlock(a, offset, size, windows, &buffers->first));
    QSTORE_TRY(ReadBlock(b, offset, size, windows, &buffers->second));
    if (size != 0 && std::memcmp(buffers->first.data(), buffers->second.data(), size) != 0) {
      *comparison.differs = true;
    }
    return {};
  }

  Status ReadBlock(const PartPlace& place, uint64_t offset, uint64_t size, ReadWindows* windows,
                   Bytes* out) const {
    out->resize(size);
    if (size == 0) return {};
    return windows->Read(*plan_.file(place).file, plan_.part(place).begin + offset, *out);
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  const Comparing comparing_;
  std::vector<PartPlace> places_;  // Of all parts of new variants, in coding order.
  std::vector<size_t> first_;      // By place: the first place of equal content.
};

}  // namespace

Status AssignObjects(PackPlan* plan, const PlanOptions& options) {
  Equals equals(plan, options);
  QSTORE_TRY(equals.Find());
  equals.Assign();
  return {};
}

}  // namespace qstore::store
