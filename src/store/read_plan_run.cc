// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/status_macros.h"
#include "store/read_plan.h"

namespace qstore::store {
namespace {

/// What a unit's chunks take whole: put together by units before it, or from the cache.
class UnitWholes final : public WholeSource {
 public:
  UnitWholes(std::span<const WholeBuffers::Use> uses, WholeBuffers* wholes, WholeSource* cache)
      : uses_(uses), wholes_(*wholes), cache_(*cache) {}

  // What earlier units put together is waited for while nothing is held: they may need to enter.
  Status Enter(uint32_t object) override {
    for (const WholeBuffers::Use& use : uses_) {
      if (!use.writes) QSTORE_TRY(wholes_.Take(use.whole).status());
    }
    return cache_.Enter(object);
  }
  void Leave(uint32_t object) override { cache_.Leave(object); }

  Result<WholeContent> Get(ContentId id) override {
    for (const WholeBuffers::Use& use : uses_) {
      if (!id.is_whole() || use.writes || wholes_.object(use.whole) != id.object) continue;
      QSTORE_ASSIGN(const std::span<const std::byte> bytes, wholes_.Take(use.whole));
      return WholeContent{bytes, nullptr};
    }
    return cache_.Get(id);
  }

 private:
  std::span<const WholeBuffers::Use> uses_;
  WholeBuffers& wholes_;
  WholeSource& cache_;
};

/// Tells others that a unit has ended, also when it throws.
class UnitEnd {
 public:
  UnitEnd(std::span<const WholeBuffers::Use> uses, WholeBuffers* wholes)
      : uses_(uses), wholes_(*wholes) {}
  ~UnitEnd() { wholes_.Finish(uses_, ok_); }
  UnitEnd(const UnitEnd&) = delete;
  UnitEnd& operator=(const UnitEnd&) = delete;
  void Succeed() { ok_ = true; }

 private:
  std::span<const WholeBuffers::Use> uses_;
  WholeBuffers& wholes_;
  bool ok_ = false;
};

}  // namespace

void ReadPlan::AddExtents(size_t unit, AheadSet* whole, std::vector<Extent>* extents) const {
  // What units write comes from their own extents, for those that take it as well.
  for (const WholeBuffers::Use& use : units_[unit].uses)
    whole->objects.insert(wholes_[use.whole].object);
  for (size_t t = units_[unit].first_task; t < units_[unit].end_task; ++t) {
    const Node& node = nodes_[tasks_[t].node];
    if (node.is_cached) {
      AddWhole(archive_, node.object, whole, extents);
    } else {
      AddNode(node, tasks_[t].chunk, whole, extents);
    }
  }
}

void ReadPlan::AddNode(const Node& node, uint32_t chunk, AheadSet* whole,
                       std::vector<Extent>* extents) const {
  if (NeedsOwn(node, chunk)) AddChunk(archive_, node.object, chunk, whole, extents);
  for (const uint32_t child : ChildrenOf(node)) {
    if (SubtreeNeeds(nodes_[child], chunk)) AddNode(nodes_[child], chunk, whole, extents);
  }
}

// Where a stretch is to be decoded to: empty where it is only to be copied from, or taken by
// children.
Result<std::span<std::byte>> ReadPlan::PlaceOf(const Node& node, uint64_t begin, uint64_t size,
                                               WholeBuffers* wholes) const {
  if (node.whole != WholeBuffers::kNone) {
    QSTORE_ASSIGN(const std::span<std::byte> place, wholes->Place(node.whole));
    return place.subspan(begin, size);
  }
  for (uint32_t t = node.targets.begin; t < node.targets.end; ++t) {
    const ReadTarget& target = targets_[t];
    if (target.begin <= begin && begin + size <= target.begin + target.out.size()) {
      return target.out.subspan(begin - target.begin, size);
    }
  }
  return std::span<std::byte>();
}

Status ReadPlan::Emit(uint32_t n, uint32_t chunk, size_t parent, WholeBuffers* wholes,
                      ChunkBatch* batch, std::vector<Copy>* copies) const {
  const Node& node = nodes_[n];
  size_t step = ChunkBatch::kNoStep;
  if (NeedsOwn(node, chunk)) {
    const format::ObjectEntry& object = archive_.index().objects[node.object];
    const uint64_t begin = chunk * object.chunk_bytes();
    const uint64_t size = archive_.index().chunk_raw_size(object, chunk);
    QSTORE_ASSIGN(const std::span<std::byte> out, PlaceOf(node, begin, size, wholes));
    if (!archive_.NeedsParents(node.object, chunk)) {
      step = batch->Add(node.object, chunk, ChunkBatch::kNoStep, node.depth, out);
    } else if (parent != ChunkBatch::kNoStep) {
      step = batch->Add(node.object, chunk, parent, node.depth, out);
    } else {
      step = batch->AddWithAncestors(node.object, chunk, out);
    }
    if (Overlaps(node, chunk)) copies->push_back({step, n, chunk});
  }
  for (const uint32_t child : ChildrenOf(node)) {
    if (!SubtreeNeeds(nodes_[child], chunk)) continue;
    QSTORE_TRY(Emit(child, chunk, step, wholes, batch, copies));
  }
  return {};
}

void ReadPlan::CopyOut(const Node& node, uint64_t begin, std::span<const std::byte> content) const {
  const uint64_t end = begin + content.size();
  for (uint32_t t = node.targets.begin; t < node.targets.end; ++t) {
    const ReadTarget& target = targets_[t];
    const uint64_t from = std::max(begin, target.begin);
    const uint64_t to = std::min(end, target.begin + target.out.size());
    if (from >= to) continue;
    std::byte* out = target.out.data() + (from - target.begin);
    const std::byte* in = content.data() + (from - begin);
    if (out != in) std::memcpy(out, in, to - from);  // Else it was decoded to where it belongs.
  }
}

Status ReadPlan::RunUnit(size_t unit, ReadAhead* ahead, WholeSource* cache, WholeBuffers* wholes,
                         std::unique_ptr<ChunkBatch>* batch) const {
  UnitEnd end(units_[unit].uses, wholes);
  wholes->Begin(unit, units_[unit].uses);
  if (ahead != nullptr) ahead->Begin(unit);
  if (*batch == nullptr) *batch = archive_.TakeBatch(nullptr);
  (*batch)->ReadBy(ahead);
  const Status done = RunTasks(units_[unit], cache, wholes, batch->get());
  if (ahead != nullptr) ahead->Done(unit);
  QSTORE_TRY(done);
  end.Succeed();
  return {};
}

Status ReadPlan::RunTasks(const Unit& unit, WholeSource* cache, WholeBuffers* wholes,
                          ChunkBatch* batch) const {
  batch->Clear();
  std::vector<Copy> copies;
  UnitWholes source(unit.uses, wholes, cache);
  for (size_t t = unit.first_task; t < unit.end_task; ++t) {
    const Task& task = tasks_[t];
    const Node& root = nodes_[task.node];
    if (root.is_cached) {
      WholeHold hold(&source);
      QSTORE_TRY(hold.MoveTo(root.object));
      QSTORE_ASSIGN(const auto whole, hold.Get(root.object));
      CopyOut(root, 0, whole.bytes);
    } else {
      batch->Hold(root.cache_needs > 0 ? root.object : WholeHold::kNothing);
      QSTORE_TRY(Emit(task.node, task.chunk, ChunkBatch::kNoStep, wholes, batch, &copies));
    }
  }
  auto copy = copies.begin();
  return batch->Run(&source, [&](size_t step, std::span<const std::byte> content) {
    if (copy == copies.end() || copy->step != step) return;
    const Node& node = nodes_[copy->node];
    const uint64_t begin = copy->chunk * archive_.index().objects[node.object].chunk_bytes();
    CopyOut(node, begin, content);
    ++copy;
  });
}

}  // namespace qstore::store
