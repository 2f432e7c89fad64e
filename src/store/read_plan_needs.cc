// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "base/status_macros.h"
#include "store/read_plan.h"

namespace qstore::store {
namespace {

// What the cache keeps of what is not needed at the moment, where there is memory for it.
constexpr uint64_t kUsualCache = uint64_t{64} << 20;
// Of a step of a batch, and the copy of what it decodes.
constexpr uint64_t kStepBytes = 128;
// Of a target, of a node with its child and what it takes whole, of a task, and of a unit, vectors
// grown by doubling included.
constexpr uint64_t kTargetBytes = 40;
constexpr uint64_t kNodeBytes = 88;
constexpr uint64_t kTaskBytes = 16;
constexpr uint64_t kUnitBytes = 144;

}  // namespace

// These units are full, of bytes or of tasks.
uint64_t ReadPlan::TaskBytes(const format::ObjectEntry& object) {
  const uint64_t parts = object.chunk_count / kUnitTasks + object.byte_size / (kSmallestUnit / 2);
  return object.chunk_count * (kTaskBytes + kUnitBytes / kUnitTasks + 1) +
         std::min<uint64_t>(object.chunk_count, parts) * kUnitBytes;
}

uint64_t ReadPlan::PlanBytes(const ArchiveFile& archive, std::span<const ReadTarget> targets) {
  const format::Index& index = archive.index();
  std::vector<bool> seen(index.objects.size());
  // And a bit for each chunk of which reading ahead knows whether it was told of.
  uint64_t bytes = (seen.size() + index.chunks.size()) / 8 + targets.size() * kTargetBytes;
  const auto add = [&](uint32_t object) {
    if (seen[object]) return false;
    seen[object] = true;
    bytes += kNodeBytes + TaskBytes(index.objects[object]);
    return true;
  };
  for (const ReadTarget& target : targets) {
    for (uint32_t object = target.object; object != kNoObject && add(object);) {
      for (const uint32_t parent : archive.graph().whole_parents(object)) add(parent);
      object = archive.graph().chunk_parent(object);
    }
  }
  return bytes;
}

Result<std::unique_ptr<ReadPlan>> ReadPlan::Make(const ArchiveFile& archive,
                                                 std::vector<ReadTarget> targets, unsigned threads,
                                                 uint64_t memory) {
  std::erase_if(targets, [](const ReadTarget& target) { return target.out.empty(); });
  const uint64_t plan_bytes = PlanBytes(archive, targets);
  if (plan_bytes > memory || targets.size() > UINT32_MAX) {
    return archive.BeyondMemory("a read of " + std::to_string(targets.size()) + " tensors",
                                plan_bytes);
  }
  // In place: a sort that keeps their order takes as much memory again.
  std::sort(targets.begin(), targets.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.object, a.begin, a.out.data()) <
           std::tuple(b.object, b.begin, b.out.data());
  });
  std::unique_ptr<ReadPlan> plan(new ReadPlan(archive, std::move(targets)));
  plan->Build(true, threads);
  Status status = plan->Share(threads, memory - plan_bytes);
  if (!status.ok()) {
    plan->Build(false, threads);
    status = plan->Share(threads, memory - plan_bytes);
  }
  QSTORE_TRY(status);
  return plan;
}

Status ReadPlan::Share(unsigned threads, uint64_t memory) {
  SetNeeds();
  const uint64_t cache = needs_.wholes;
  const uint64_t together = MostTogether();
  needs_.wholes += together;
  QSTORE_ASSIGN(shares_, ShareMemory(archive_, needs_, threads, 0, memory));
  uint64_t all = 0;
  for (const WholeBuffers::Whole& whole : wholes_) all += whole.place.empty() ? whole.size : 0;
  const uint64_t rest = shares_.wholes - needs_.wholes;
  const bool caches = !cached_.empty() || std::ranges::any_of(nodes_, [&](const Node& node) {
    return !archive_.graph().range_parents(node.object).empty();
  });
  cache_bytes_ = cache + (caches ? std::min(rest, kUsualCache) : 0);
  together_bytes_ = std::min(all, shares_.wholes - cache_bytes_);
  return {};
}

void ReadPlan::SetNeeds() {
  needs_ = MemoryNeeds();
  for (const Node& node : nodes_) {
    MemoryNeeds needs = NeedsOf(archive_, node.object);
    needs.wholes = 0;
    needs_.Join(needs);
  }
  std::vector<size_t> steps(nodes_.size());  // Of a chunk of the tree, by root.
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (!HasTreeParent(nodes_[n].object)) steps[n] = SetTreeNeeds(&nodes_[n]);
  }
  uint64_t most = 0;
  for (const Unit& unit : units_) {
    uint64_t of_unit = 0;
    for (size_t t = unit.first_task; t < unit.end_task; ++t) of_unit += steps[tasks_[t].node];
    most = std::max(most, of_unit);
  }
  needs_.thread += most * kStepBytes;
}

// Returns the steps that a batch has for chunks of all the tree's objects, which are decoded in
// turn.
size_t ReadPlan::SetTreeNeeds(Node* root) {
  std::unordered_set<uint32_t> wholes;
  size_t steps = 0;
  root->cache_needs = 0;
  AddTreeNeeds(*root, &wholes, &root->cache_needs, &steps);
  if (root->is_cached) root->cache_needs += AddHeldWhole(archive_, root->object, &wholes);
  MemoryNeeds needs;
  needs.object = root->object;
  needs.wholes = root->cache_needs;
  needs.thread = needs_.thread;
  needs_.Join(needs);
  return steps;
}

void ReadPlan::AddTreeNeeds(const Node& node, std::unordered_set<uint32_t>* wholes, uint64_t* bytes,
                            size_t* steps) {
  ++*steps;
  for (const uint32_t parent : archive_.graph().whole_parents(node.object)) {
    const bool is_taken = node.takes != WholeBuffers::kNone && parent == wholes_[node.takes].object;
    if (!is_taken) *bytes += AddHeldWhole(archive_, parent, wholes);
  }
  for (const auto& range : archive_.graph().range_parents(node.object)) {
    *bytes += AddRangeNeeds(archive_, range, wholes);
  }
  // Ancestors that are no nodes come with the chunk.
  const uint32_t chunk_parent = archive_.graph().chunk_parent(node.object);
  if (chunk_parent != kNoObject && !HasTreeParent(node.object)) {
    *bytes += AddWholeNeeds(archive_, chunk_parent, wholes);
  }
  for (const uint32_t child : ChildrenOf(node)) AddTreeNeeds(nodes_[child], wholes, bytes, steps);
}

// Of memory that is the read's own, the most that units up to one have begun to fill and units from
// it on use.
uint64_t ReadPlan::MostTogether() const {
  std::vector<size_t> left;  // Users that have not come, by whole.
  for (const WholeBuffers::Whole& whole : wholes_) left.push_back(whole.users);
  uint64_t most = 0;
  uint64_t held = 0;
  for (const Unit& unit : units_) {
    const auto is_own = [&](const WholeBuffers::Use& use) {
      return wholes_[use.whole].place.empty();
    };
    for (const WholeBuffers::Use& use : unit.uses) {
      if (is_own(use) && left[use.whole] == wholes_[use.whole].users) {
        held += wholes_[use.whole].size;
      }
    }
    most = std::max(most, held);
    for (const WholeBuffers::Use& use : unit.uses) {
      if (--left[use.whole] == 0 && is_own(use)) held -= wholes_[use.whole].size;
    }
  }
  return most;
}

}  // namespace qstore::store
