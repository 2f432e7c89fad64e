// SPDX-License-Identifier: Apache-2.0
#include "store/read_plan.h"

#include <algorithm>

#include "store/unit_streams.h"

namespace qstore::store {
namespace {

// Stored bytes of a unit: large reads, yet enough units for all threads to end together.
constexpr uint64_t kLargestUnit = uint64_t{1} << 20;
constexpr uint64_t kUnitsPerThread = 8;
// Of a parent taken whole: below, waiting costs more than threads gain.
constexpr uint64_t kWorthSharing = uint64_t{1} << 16;

}  // namespace

void ReadPlan::Build(bool shared, unsigned threads) {
  is_shared_ = shared;
  cached_.clear();
  nodes_.clear();
  children_.clear();
  wholes_.clear();
  tasks_.clear();
  units_.clear();
  FindCached();
  MakeNodes();
  SetTargets();
  MarkWholes();
  for (Node& node : nodes_) {
    if (!HasTreeParent(node.object)) SpanSubtree(&node);
  }
  MakeTasks();
  MakeUnits(threads);
  CountUses();
  SpreadUnits(threads);
}

// Objects that come from the cache are decoded for themselves.
bool ReadPlan::HasTreeParent(uint32_t object) const {
  return is_shared_ && archive_.graph().chunk_parent(object) != kNoObject &&
         !std::binary_search(cached_.begin(), cached_.end(), object);
}

// Of an object that takes all its parents whole the largest one, when it is worth being put
// together by several threads, else kNone.
uint32_t ReadPlan::LargestWhole(uint32_t id) const {
  const auto& objects = archive_.index().objects;
  const auto wholes = archive_.graph().whole_parents(id);
  if (!is_shared_ || wholes.empty() || archive_.graph().chunk_parent(id) != kNoObject) {
    return WholeBuffers::kNone;
  }
  const uint32_t largest = *std::max_element(
      wholes.begin(), wholes.end(),
      [&](uint32_t a, uint32_t b) { return objects[a].byte_size < objects[b].byte_size; });
  if (objects[largest].byte_size < kWorthSharing) return WholeBuffers::kNone;
  for (uint32_t chunk = 0; chunk < objects[id].chunk_count; ++chunk) {
    if (archive_.NeedsParents(id, chunk)) return largest;
  }
  return WholeBuffers::kNone;
}

void ReadPlan::FindCached() {
  std::vector<uint32_t> shared;
  std::vector<uint32_t> reached;
  std::vector<bool> is_cached(archive_.index().objects.size());
  for (const ReadTarget& target : targets_) {
    reached.push_back(target.object);
    while (!reached.empty()) {
      const uint32_t id = reached.back();
      reached.pop_back();
      for (const uint32_t whole : archive_.graph().whole_parents(id)) {
        if (!is_cached[whole]) cached_.push_back(whole);
        is_cached[whole] = true;
      }
      const uint32_t chunk_parent = archive_.graph().chunk_parent(id);
      if (chunk_parent != kNoObject) reached.push_back(chunk_parent);
      const uint32_t largest = LargestWhole(id);
      if (largest == WholeBuffers::kNone) continue;
      shared.push_back(largest);
      reached.push_back(largest);
    }
  }
  std::sort(cached_.begin(), cached_.end());
  std::sort(shared.begin(), shared.end());
  std::erase_if(cached_, [&](uint32_t object) {
    return std::binary_search(shared.begin(), shared.end(), object);
  });
}

// Objects asked for and all their ancestors, but for cached ones.
void ReadPlan::MakeNodes() {
  std::vector<uint32_t> wanted;
  for (const ReadTarget& target : targets_) {
    if (wanted.empty() || wanted.back() != target.object) wanted.push_back(target.object);
  }
  for (size_t w = 0; w < wanted.size(); ++w) {
    const uint32_t whole = LargestWhole(wanted[w]);
    if (HasTreeParent(wanted[w])) wanted.push_back(archive_.graph().chunk_parent(wanted[w]));
    if (whole != WholeBuffers::kNone) wanted.push_back(whole);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  nodes_.resize(wanted.size());
  for (size_t n = 0; n < wanted.size(); ++n) {
    nodes_[n].object = wanted[n];
    nodes_[n].depth = static_cast<uint16_t>(archive_.graph().ChunkedAncestors(wanted[n]));
    nodes_[n].chunk_begin = UINT32_MAX;
  }
  MakeChildren();
}

// In one array, as most nodes have none: first how many each has, then where they end.
void ReadPlan::MakeChildren() {
  const auto for_each_child = [this](const auto& visit) {
    for (uint32_t n = 0; n < nodes_.size(); ++n) {
      if (!HasTreeParent(nodes_[n].object)) continue;
      visit(n, &nodes_[NodeOf(archive_.graph().chunk_parent(nodes_[n].object))].children);
    }
  };
  for_each_child([](uint32_t, format::Range* children) { ++children->end; });
  uint32_t next = 0;
  for (Node& node : nodes_) {
    const uint32_t count = node.children.end;
    node.children = {next, next};
    next += count;
  }
  children_.resize(next);
  for_each_child([this](uint32_t n, format::Range* children) { children_[children->end++] = n; });
}

uint32_t ReadPlan::NodeOf(uint32_t object) const {
  const auto at =
      std::lower_bound(nodes_.begin(), nodes_.end(), object,
                       [](const Node& node, uint32_t value) { return node.object < value; });
  return static_cast<uint32_t>(at - nodes_.begin());
}

uint32_t ReadPlan::RootOf(uint32_t node) const {
  while (HasTreeParent(nodes_[node].object)) {
    node = NodeOf(archive_.graph().chunk_parent(nodes_[node].object));
  }
  return node;
}

void ReadPlan::SetTargets() {
  uint32_t target = 0;
  for (Node& node : nodes_) {
    const uint64_t chunk_bytes = archive_.index().objects[node.object].chunk_bytes();
    node.targets.begin = target;
    for (; target < targets_.size() && targets_[target].object == node.object; ++target) {
      const ReadTarget& t = targets_[target];
      const uint64_t last = (t.begin + t.out.size() - 1) / chunk_bytes;
      node.chunk_begin = std::min(node.chunk_begin, static_cast<uint32_t>(t.begin / chunk_bytes));
      node.chunk_end = std::max(node.chunk_end, static_cast<uint32_t>(last + 1));
    }
    node.targets.end = target;
    node.is_cached = node.children.size() == 0 &&
                     std::binary_search(cached_.begin(), cached_.end(), node.object);
  }
}

// What is asked for and taken whole as well is read once: it comes from the cache, or is put
// together where the caller wants it.
void ReadPlan::MarkWholes() {
  for (Node& node : nodes_) {
    const uint32_t largest = LargestWhole(node.object);
    if (largest == WholeBuffers::kNone) continue;
    Node& parent = nodes_[NodeOf(largest)];
    if (parent.whole == WholeBuffers::kNone) {
      const format::ObjectEntry& object = archive_.index().objects[largest];
      parent.is_cached = false;
      parent.whole = static_cast<uint32_t>(wholes_.size());
      parent.chunk_begin = 0;
      parent.chunk_end = object.chunk_count;
      WholeBuffers::Whole whole{largest, static_cast<size_t>(object.byte_size)};
      for (uint32_t t = parent.targets.begin; t < parent.targets.end; ++t) {
        if (targets_[t].out.size() == whole.size) whole.place = targets_[t].out;
      }
      wholes_.push_back(whole);
    }
    node.takes = parent.whole;
  }
}

// Trees are as high as rows of ancestors are long, which the format bounds.
void ReadPlan::SpanSubtree(Node* node) {
  for (const uint32_t c : ChildrenOf(*node)) {
    Node& child = nodes_[c];
    SpanSubtree(&child);
    node->chunk_begin = std::min(node->chunk_begin, child.chunk_begin);
    node->chunk_end = std::max(node->chunk_end, child.chunk_end);
  }
}

bool ReadPlan::PutsTogether(const Node& node) const {
  return node.whole != WholeBuffers::kNone ||
         std::ranges::any_of(ChildrenOf(node),
                             [this](uint32_t child) { return PutsTogether(nodes_[child]); });
}

// Only a root has a large parent that it takes whole, and no object is an ancestor of its own: so
// this ends.
void ReadPlan::AddTasks(uint32_t root) {
  Node& node = nodes_[root];
  if (node.is_planned) return;
  node.is_planned = true;
  if (node.takes != WholeBuffers::kNone) AddTasks(RootOf(NodeOf(wholes_[node.takes].object)));
  for (uint32_t chunk = node.chunk_begin; chunk < node.chunk_end; ++chunk) {
    if (!SubtreeNeeds(node, chunk)) continue;
    tasks_.push_back({root, chunk, Cost(node, chunk)});
    if (node.is_cached) break;
  }
}

// Wholes are put together when the first object takes them, so that few are held at a time.
void ReadPlan::MakeTasks() {
  size_t most = 0;
  for (const Node& node : nodes_) {
    if (!HasTreeParent(node.object)) most += node.chunk_end - node.chunk_begin;
  }
  tasks_.reserve(most);
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    if (!HasTreeParent(nodes_[n].object) && !PutsTogether(nodes_[n])) AddTasks(n);
  }
}

void ReadPlan::MakeUnits(unsigned threads) {
  uint64_t total = 0;
  for (const Task& task : tasks_) total += task.cost;
  const uint64_t size =
      std::clamp(total / (kUnitsPerThread * std::max(1U, threads)), kSmallestUnit, kLargestUnit);
  Unit unit;
  uint64_t filled = 0;
  for (size_t t = 0; t < tasks_.size(); ++t) {
    const Node& root = nodes_[tasks_[t].node];
    // A unit that took what it writes would wait for itself.
    const bool waits =
        root.takes != WholeBuffers::kNone &&
        std::any_of(unit.uses.begin(), unit.uses.end(), [&](const WholeBuffers::Use& use) {
          return use.whole == root.takes && use.writes;
        });
    if (filled >= size || t - unit.first_task >= kUnitTasks || waits) {
      units_.push_back(std::exchange(unit, Unit{t, t, {}}));
      filled = 0;
    }
    unit.end_task = t + 1;
    filled += tasks_[t].cost;
    AddUses(root, &unit.uses);
  }
  if (!tasks_.empty()) units_.push_back(unit);
}

void ReadPlan::CountUses() {
  for (const Unit& made : units_) {
    for (const WholeBuffers::Use& use : made.uses) {
      ++wholes_[use.whole].users;
      if (use.writes) ++wholes_[use.whole].writers;
    }
  }
}

// What is put together in memory of the read's own is let go in time only if units go by the
// archive; and so do slow sources deliver.
void ReadPlan::SpreadUnits(unsigned threads) {
  const bool needs_memory =
      std::any_of(wholes_.begin(), wholes_.end(),
                  [](const WholeBuffers::Whole& whole) { return whole.place.empty(); });
  if (needs_memory || archive_.options().read_ahead != 0) return;
  std::vector<bool> may_begin;
  std::vector<size_t> left;  // Users of a whole that have not come.
  for (const WholeBuffers::Whole& whole : wholes_) left.push_back(whole.users);
  size_t under_way = 0;
  for (const Unit& unit : units_) {
    may_begin.push_back(under_way == 0);
    for (const WholeBuffers::Use& use : unit.uses) {
      if (left[use.whole] == wholes_[use.whole].users) ++under_way;
      if (--left[use.whole] == 0) --under_way;
    }
  }
  std::vector<Unit> spread;
  spread.reserve(units_.size());
  for (const size_t u : StreamOrder(may_begin, threads)) spread.push_back(std::move(units_[u]));
  units_ = std::move(spread);
}

// Each of them once.
void ReadPlan::AddUses(const Node& node, std::vector<WholeBuffers::Use>* uses) const {
  const auto add = [uses](uint32_t whole, bool writes) {
    const auto is_it = [whole](const WholeBuffers::Use& use) { return use.whole == whole; };
    if (whole == WholeBuffers::kNone || std::any_of(uses->begin(), uses->end(), is_it)) return;
    uses->push_back({whole, writes});
  };
  add(node.takes, false);
  add(node.whole, true);
  for (const uint32_t child : ChildrenOf(node)) AddUses(nodes_[child], uses);
}

// Reading and decoding time, in stored bytes.
uint64_t ReadPlan::Cost(const Node& node, uint32_t chunk) const {
  const format::ObjectEntry& object = archive_.index().objects[node.object];
  uint64_t cost = archive_.index().chunk_raw_size(object, chunk) / 4;
  if (NeedsOwn(node, chunk)) cost += archive_.chunk(node.object, chunk).stored_size;
  for (const uint32_t child : ChildrenOf(node)) {
    if (SubtreeNeeds(nodes_[child], chunk)) cost += Cost(nodes_[child], chunk);
  }
  return cost;
}

bool ReadPlan::Overlaps(const Node& node, uint32_t chunk) const {
  const uint64_t chunk_bytes = archive_.index().objects[node.object].chunk_bytes();
  const uint64_t begin = chunk * chunk_bytes;
  for (uint32_t t = node.targets.begin; t < node.targets.end; ++t) {
    const ReadTarget& target = targets_[t];
    if (target.begin < begin + chunk_bytes && begin < target.begin + target.out.size()) return true;
  }
  return false;
}

bool ReadPlan::SubtreeNeeds(const Node& node, uint32_t chunk) const {
  if (chunk < node.chunk_begin || chunk >= node.chunk_end) return false;
  if (node.whole != WholeBuffers::kNone || Overlaps(node, chunk)) return true;
  return std::ranges::any_of(ChildrenOf(node),
                             [&](uint32_t child) { return SubtreeNeeds(nodes_[child], chunk); });
}

// Not so when only children want it whose chunk was coded without a parent.
bool ReadPlan::NeedsOwn(const Node& node, uint32_t chunk) const {
  if (node.whole != WholeBuffers::kNone || Overlaps(node, chunk)) return true;
  return std::ranges::any_of(ChildrenOf(node), [&](uint32_t child) {
    return archive_.NeedsParents(nodes_[child].object, chunk) && NeedsOwn(nodes_[child], chunk);
  });
}

}  // namespace qstore::store
