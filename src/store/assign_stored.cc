// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/pack_plan.h"

namespace qstore::store {
namespace {

// Objects of one name and size that a part is compared with.
constexpr size_t kMostEquals = 4;
constexpr uint64_t kDigestBlock = uint64_t{1} << 20;

// Of an object that has no name, what tells whether it may be a tensor.
constexpr uint64_t kFirstBytes = 4096;

using Bytes = std::vector<std::byte>;
using Candidates = std::vector<uint32_t>;  // Objects, each once.

void AddOnce(uint32_t object, Candidates* to) {
  if (std::ranges::find(*to, object) == to->end()) to->push_back(object);
}

class StoredEquals {
 public:
  StoredEquals(PackPlan* plan, const PlanOptions& options)
      : plan_(*plan), options_(options), workers_(options.threads) {
    for (uint32_t v = 0; v < plan_.stored_variants(); ++v) {
      const format::VariantEntry& variant = plan_.stored->variants[v];
      for (uint32_t f = 0; f < variant.files.size(); ++f) {
        Note(plan_.variants[v].files[f], plan_.stored->files[variant.files.begin + f].digest);
      }
    }
  }

  Status Run() {
    QSTORE_TRY(NoteNameless());
    std::vector<PartPlace> places;
    for (uint32_t v = plan_.stored_variants(); v < plan_.variants.size(); ++v) {
      for (uint32_t f = 0; f < plan_.variants[v].files.size(); ++f) {
        for (uint32_t p = 0; p < plan_.variants[v].files[f].parts.size(); ++p) {
          const bool is_like = !CandidatesFor({v, f, p}).empty();
          if (is_like || IsLikeNameless({v, f, p})) places.push_back({v, f, p});
        }
      }
    }
    const auto work = [&](const base::PipelineItem& item) -> Status {
      return Find(places[item.index], &workers_[item.worker])
          .WithContext(plan_.file(places[item.index]).source.string());
    };
    const auto retire = [&](const base::PipelineItem&) { return options_.poll(); };
    return base::RunPipeline(places.size(), {options_.threads, size_t{4} * options_.threads}, work,
                             retire);
  }

 private:
  struct Worker {
    Bytes own;
    Bytes stored;
  };
  using Digest = std::array<uint8_t, 16>;

  void Note(const SourceFileEntry& file, const Digest& digest) {
    for (const SourcePart& part : file.parts) {
      if (file.container == kNoContainer) {
        if (file.parts.size() != 1) continue;
        digests_.try_emplace(part.object, digest);
        AddOnce(part.object, &files_[part.size()]);
      } else if (part.tensor == kNoTensor) {
        AddOnce(part.object, &heads_[part.size()]);
      } else {
        AddOnce(part.object, &tensors_[file.tensors[part.tensor].name]);
      }
    }
  }

  // What variants that were dropped have left, by size and first bytes.
  Status NoteNameless() {
    Worker worker;
    const std::vector<bool> of_files = ObjectsOfFiles(*plan_.stored);
    for (uint32_t id = 0; id < of_files.size(); ++id) {
      const PlannedObject& object = plan_.objects[id];
      if (of_files[id] || object.spec.byte_size == 0) continue;
      QSTORE_ASSIGN(const uint64_t hash, HashOfFirst(object.place, &worker));
      AddOnce(id, &nameless_[object.spec.byte_size][hash]);
      QSTORE_TRY(options_.poll());
    }
    return {};
  }

  bool IsLikeNameless(const PartPlace& place) const {
    const SourcePart& part = plan_.part(place);
    return part.tensor != kNoTensor && nameless_.contains(part.size());
  }

  Result<uint64_t> HashOfFirst(const PartPlace& place, Worker* worker) const {
    const SourcePart& part = plan_.part(place);
    worker->own.resize(static_cast<size_t>(std::min(kFirstBytes, part.size())));
    QSTORE_TRY(PartSource(plan_.file(place), part).Read(0, worker->own));
    return base::Hash64(worker->own);
  }

  // Those of its size, and of a tensor of its name and type.
  Candidates CandidatesFor(const PartPlace& place) const {
    const SourceFileEntry& file = plan_.file(place);
    const SourcePart& part = file.parts[place.part];
    Candidates found;
    if (part.tensor == kNoTensor) {
      const auto& by_size = file.container == kNoContainer ? files_ : heads_;
      const auto at = by_size.find(part.size());
      if (at != by_size.end()) found = at->second;
    } else {
      const auto at = tensors_.find(file.tensors[part.tensor].name);
      if (at != tensors_.end()) found = at->second;
    }
    std::erase_if(found, [&](uint32_t id) {
      const PlannedObject& object = plan_.objects[id];
      return object.spec.byte_size != part.size() || !IsOfType(file, part, object) ||
             !IsAllowed(place, id);
    });
    return found;
  }

  // A direct variant loads from its own bytes.
  bool IsAllowed(const PartPlace& place, uint32_t id) const {
    return !plan_.is_direct[place.variant] || plan_.objects[id].scheme_id == kNoScheme;
  }

  bool IsOfType(const SourceFileEntry& file, const SourcePart& part,
                const PlannedObject& object) const {
    if (part.tensor == kNoTensor) return true;
    const SourceFileEntry& other = plan_.file(object.place);
    const SourcePart& other_part = other.parts[object.place.part];
    return other_part.tensor != kNoTensor &&
           other.tensors[other_part.tensor].dtype == file.tensors[part.tensor].dtype;
  }

  Status Find(const PartPlace& place, Worker* worker) {
    Candidates candidates = CandidatesFor(place);
    if (plan_.file(place).container == kNoContainer) {
      QSTORE_ASSIGN(const Digest digest, DigestOf(place, worker));
      std::erase_if(candidates, [&](uint32_t id) { return digests_.at(id) != digest; });
    }
    if (IsLikeNameless(place)) {
      QSTORE_ASSIGN(const uint64_t hash, HashOfFirst(place, worker));
      const auto& of_size = nameless_.at(plan_.part(place).size());
      const auto like = of_size.find(hash);
      for (const uint32_t id : like == of_size.end() ? Candidates() : like->second) {
        if (IsAllowed(place, id)) AddOnce(id, &candidates);
      }
    }
    if (candidates.size() > kMostEquals) candidates.resize(kMostEquals);
    for (const uint32_t id : candidates) {
      QSTORE_ASSIGN(const bool is_equal, IsEqual(place, id, worker));
      if (!is_equal) continue;
      plan_.part(place).object = id;
      return {};
    }
    return {};
  }

  Result<Digest> DigestOf(const PartPlace& place, Worker* worker) const {
    const SourcePart& part = plan_.part(place);
    base::Hasher128 hasher;
    for (uint64_t at = 0; at < part.size(); at += worker->own.size()) {
      worker->own.resize(static_cast<size_t>(std::min(kDigestBlock, part.size() - at)));
      QSTORE_TRY(plan_.file(place).file->Read(part.begin + at, worker->own));
      hasher.Update(worker->own);
    }
    return hasher.Finish();
  }

  // A chunk at a time, so that of another content the first one is all that is decoded.
  Result<bool> IsEqual(const PartPlace& place, uint32_t id, Worker* worker) const {
    const PlannedObject& object = plan_.objects[id];
    const PartSource own(plan_.file(place), plan_.part(place));
    const PartSource stored(plan_.file(object.place), plan_.part(object.place));
    for (uint64_t at = 0; at < object.spec.byte_size; at += worker->own.size()) {
      const uint64_t size = std::min(object.spec.chunk_bytes(), object.spec.byte_size - at);
      worker->own.resize(static_cast<size_t>(size));
      worker->stored.resize(worker->own.size());
      QSTORE_TRY(own.Read(at, worker->own));
      QSTORE_TRY(stored.Read(at, worker->stored));
      if (std::memcmp(worker->own.data(), worker->stored.data(), worker->own.size()) != 0) {
        return false;
      }
    }
    return true;
  }

  PackPlan& plan_;
  const PlanOptions& options_;
  std::vector<Worker> workers_;
  // Of the archive: of files without known structure, of heads, and of tensors.
  std::map<uint64_t, Candidates> files_;
  std::map<uint64_t, Candidates> heads_;
  std::unordered_map<std::string_view, Candidates> tensors_;
  // And objects that no file has, by size and hash of the first bytes.
  std::map<uint64_t, std::unordered_map<uint64_t, Candidates>> nameless_;
  std::unordered_map<uint32_t, Digest> digests_;  // By object of a file without known structure.
};

}  // namespace

Status AssignStored(PackPlan* plan, const PlanOptions& options) {
  return StoredEquals(plan, options).Run();
}

}  // namespace qstore::store
