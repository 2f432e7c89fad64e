// SPDX-License-Identifier: Apache-2.0
#include "store/read_plan.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"

namespace qstore::store {
namespace {

// Stored bytes of a unit: large reads, yet enough units for all threads to end together.
constexpr uint64_t kLargestUnit = uint64_t{1} << 20;
constexpr uint64_t kSmallestUnit = uint64_t{1} << 17;
constexpr uint64_t kUnitsPerThread = 8;
constexpr size_t kUnitTasks = 256;

}  // namespace

ReadPlan::ReadPlan(const ArchiveFile& archive, std::vector<ReadTarget> targets, unsigned threads)
    : archive_(archive), targets_(std::move(targets)) {
  std::erase_if(targets_, [](const ReadTarget& target) { return target.out.empty(); });
  std::stable_sort(targets_.begin(), targets_.end(),
                   [](const auto& a, const auto& b) { return a.object < b.object; });
  FindWholes();
  MakeNodes();
  MarkWholes();
  MakeUnits(threads);
}

// Objects that chunks of others take whole are decoded for themselves.
bool ReadPlan::HasTreeParent(uint32_t object) const {
  return archive_.index().objects[object].has_chunked_base() &&
         !std::binary_search(wholes_.begin(), wholes_.end(), object);
}

void ReadPlan::FindWholes() {
  for (const ReadTarget& target : targets_) {
    const auto whole = archive_.index().objects[target.object].whole_parents();
    wholes_.insert(wholes_.end(), whole.begin(), whole.end());
  }
  std::sort(wholes_.begin(), wholes_.end());
  wholes_.erase(std::unique(wholes_.begin(), wholes_.end()), wholes_.end());
}

// Objects asked for and all their ancestors by way of base parents.
void ReadPlan::MakeNodes() {
  std::vector<uint32_t> wanted;
  for (const ReadTarget& target : targets_) {
    uint32_t object = target.object;
    wanted.push_back(object);
    while (HasTreeParent(object)) {
      object = archive_.index().objects[object].base;
      wanted.push_back(object);
    }
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  nodes_.resize(wanted.size());
  for (size_t n = 0; n < wanted.size(); ++n) nodes_[n].object = wanted[n];
  size_t target = 0;
  for (size_t n = 0; n < wanted.size(); ++n) {
    Node& node = nodes_[n];
    const format::ObjectEntry& object = archive_.index().objects[node.object];
    node.depth = archive_.ChunkedAncestors(node.object);
    node.chunk_begin = UINT32_MAX;
    node.targets.first = target;
    for (; target < targets_.size() && targets_[target].object == node.object; ++target) {
      const ReadTarget& t = targets_[target];
      const uint64_t last = (t.begin + t.out.size() - 1) / object.chunk_bytes();
      node.chunk_begin =
          std::min(node.chunk_begin, static_cast<uint32_t>(t.begin / object.chunk_bytes()));
      node.chunk_end = std::max(node.chunk_end, static_cast<uint32_t>(last + 1));
    }
    node.targets.second = target;
    if (HasTreeParent(node.object)) {
      const uint32_t base = NodeOf(object.base);
      nodes_[base].children.push_back(static_cast<uint32_t>(n));
    }
  }
  // Parents come before their children: what a subtree spans is known from the back.
  for (size_t n = nodes_.size(); n-- > 0;) {
    for (const uint32_t child : nodes_[n].children) {
      nodes_[n].chunk_begin = std::min(nodes_[n].chunk_begin, nodes_[child].chunk_begin);
      nodes_[n].chunk_end = std::max(nodes_[n].chunk_end, nodes_[child].chunk_end);
    }
  }
}

uint32_t ReadPlan::NodeOf(uint32_t object) {
  const auto at =
      std::lower_bound(nodes_.begin(), nodes_.end(), object,
                       [](const Node& node, uint32_t value) { return node.object < value; });
  return static_cast<uint32_t>(at - nodes_.begin());
}

// What is asked for and taken whole as well comes from the cache, so that it is read once.
void ReadPlan::MarkWholes() {
  for (Node& node : nodes_) {
    node.is_whole =
        node.children.empty() && std::binary_search(wholes_.begin(), wholes_.end(), node.object);
  }
}

void ReadPlan::MakeUnits(unsigned threads) {
  std::vector<uint64_t> costs;
  uint64_t total = 0;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Node& node = nodes_[n];
    if (HasTreeParent(node.object)) continue;
    for (uint32_t chunk = node.chunk_begin; chunk < node.chunk_end; ++chunk) {
      if (!SubtreeNeeds(node, chunk)) continue;
      tasks_.push_back({n, chunk});
      costs.push_back(Cost(node, chunk));
      total += costs.back();
      if (node.is_whole) break;
    }
  }
  const uint64_t size =
      std::clamp(total / (kUnitsPerThread * std::max(1U, threads)), kSmallestUnit, kLargestUnit);
  Unit unit;
  uint64_t filled = 0;
  for (size_t t = 0; t < tasks_.size(); ++t) {
    if (filled >= size || t - unit.first_task >= kUnitTasks) {
      units_.push_back(unit);
      unit.first_task = t;
      filled = 0;
    }
    unit.end_task = t + 1;
    filled += costs[t];
  }
  if (!tasks_.empty()) units_.push_back(unit);
}

// Reading and decoding time, in stored bytes.
uint64_t ReadPlan::Cost(const Node& node, uint32_t chunk) const {
  const format::ObjectEntry& object = archive_.index().objects[node.object];
  uint64_t cost = archive_.index().chunk_raw_size(object, chunk) / 4;
  if (NeedsOwn(node, chunk)) cost += archive_.chunk(node.object, chunk).stored_size;
  for (const uint32_t child : node.children) {
    if (SubtreeNeeds(nodes_[child], chunk)) cost += Cost(nodes_[child], chunk);
  }
  return cost;
}

bool ReadPlan::Overlaps(const Node& node, uint32_t chunk) const {
  const uint64_t chunk_bytes = archive_.index().objects[node.object].chunk_bytes();
  const uint64_t begin = chunk * chunk_bytes;
  for (size_t t = node.targets.first; t < node.targets.second; ++t) {
    const ReadTarget& target = targets_[t];
    if (target.begin < begin + chunk_bytes && begin < target.begin + target.out.size()) return true;
  }
  return false;
}

bool ReadPlan::SubtreeNeeds(const Node& node, uint32_t chunk) const {
  if (chunk < node.chunk_begin || chunk >= node.chunk_end) return false;
  if (Overlaps(node, chunk)) return true;
  return std::any_of(node.children.begin(), node.children.end(),
                     [&](uint32_t child) { return SubtreeNeeds(nodes_[child], chunk); });
}

// Not so when only children want it whose chunk was coded without a parent.
bool ReadPlan::NeedsOwn(const Node& node, uint32_t chunk) const {
  if (Overlaps(node, chunk)) return true;
  return std::any_of(node.children.begin(), node.children.end(), [&](uint32_t child) {
    return archive_.NeedsParents(nodes_[child].object, chunk) && NeedsOwn(nodes_[child], chunk);
  });
}

void ReadPlan::AddExtents(size_t unit, std::unordered_set<uint32_t>* whole,
                          std::vector<Extent>* extents) const {
  for (size_t t = units_[unit].first_task; t < units_[unit].end_task; ++t) {
    const Node& node = nodes_[tasks_[t].node];
    if (node.is_whole) {
      AddWhole(archive_, node.object, whole, extents);
    } else {
      AddNode(node, tasks_[t].chunk, whole, extents);
    }
  }
}

void ReadPlan::AddNode(const Node& node, uint32_t chunk, std::unordered_set<uint32_t>* whole,
                       std::vector<Extent>* extents) const {
  if (NeedsOwn(node, chunk)) AddChunk(archive_, node.object, chunk, whole, extents);
  for (const uint32_t child : node.children) {
    if (SubtreeNeeds(nodes_[child], chunk)) AddNode(nodes_[child], chunk, whole, extents);
  }
}

void ReadPlan::Emit(uint32_t n, uint32_t chunk, size_t parent, ChunkBatch* batch,
                    std::vector<Copy>* copies) const {
  const Node& node = nodes_[n];
  size_t step = ChunkBatch::kNoStep;
  if (NeedsOwn(node, chunk)) {
    const format::ObjectEntry& object = archive_.index().objects[node.object];
    const uint64_t begin = chunk * object.chunk_bytes();
    const uint64_t size = archive_.index().chunk_raw_size(object, chunk);
    std::span<std::byte> out;
    for (size_t t = node.targets.first; t < node.targets.second && out.empty(); ++t) {
      const ReadTarget& target = targets_[t];
      if (target.begin <= begin && begin + size <= target.begin + target.out.size()) {
        out = target.out.subspan(begin - target.begin, size);
      }
    }
    if (!archive_.NeedsParents(node.object, chunk)) {
      step = batch->Add(node.object, chunk, ChunkBatch::kNoStep, node.depth, out);
    } else if (parent != ChunkBatch::kNoStep) {
      step = batch->Add(node.object, chunk, parent, node.depth, out);
    } else {
      step = batch->AddWithAncestors(node.object, chunk, out);
    }
    const bool is_done = node.targets.second - node.targets.first == 1 && !out.empty();
    if (!is_done && Overlaps(node, chunk)) copies->push_back({step, n, chunk});
  }
  for (const uint32_t child : node.children) {
    if (SubtreeNeeds(nodes_[child], chunk)) Emit(child, chunk, step, batch, copies);
  }
}

void ReadPlan::CopyOut(const Node& node, uint64_t begin, std::span<const std::byte> content) const {
  const uint64_t end = begin + content.size();
  for (size_t t = node.targets.first; t < node.targets.second; ++t) {
    const ReadTarget& target = targets_[t];
    const uint64_t from = std::max(begin, target.begin);
    const uint64_t to = std::min(end, target.begin + target.out.size());
    if (from >= to) continue;
    std::byte* out = target.out.data() + (from - target.begin);
    const std::byte* in = content.data() + (from - begin);
    if (out != in) std::memcpy(out, in, to - from);  // Else it was decoded to where it belongs.
  }
}

Status ReadPlan::RunUnit(size_t unit, ObjectCache* wholes, ChunkBatch* batch) const {
  batch->Clear();
  std::vector<Copy> copies;
  for (size_t t = units_[unit].first_task; t < units_[unit].end_task; ++t) {
    const Task& task = tasks_[t];
    if (nodes_[task.node].is_whole) {
      QSTORE_ASSIGN(const auto whole, wholes->Get(nodes_[task.node].object));
      CopyOut(nodes_[task.node], 0, *whole);
    } else {
      Emit(task.node, task.chunk, ChunkBatch::kNoStep, batch, &copies);
    }
  }
  auto copy = copies.begin();
  return batch->Run(wholes, [&](size_t step, std::span<const std::byte> content) {
    if (copy == copies.end() || copy->step != step) return;
    const Node& node = nodes_[copy->node];
    const uint64_t begin = copy->chunk * archive_.index().objects[node.object].chunk_bytes();
    CopyOut(node, begin, content);
    ++copy;
  });
}

}  // namespace qstore::store
