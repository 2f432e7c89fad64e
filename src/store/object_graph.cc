// SPDX-License-Identifier: Apache-2.0
#include "store/object_graph.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "scheme/registry.h"

namespace qstore::store {
namespace {

// Of a bound scheme, its parents not included.
constexpr uint64_t kBoundBytes = 256;

uint64_t MemoryOf(const format::Index& index, uint64_t node_bytes) {
  uint64_t bytes = index.objects.size() * node_bytes + index.parents.size() * sizeof(uint32_t);
  for (const format::ObjectEntry& object : index.objects) {
    if (object.scheme == kNoScheme) continue;
    bytes +=
        kBoundBytes + object.parents.size() * (sizeof(uint64_t) + sizeof(ObjectGraph::RangeParent));
  }
  return bytes;
}

void CountCovered(const scheme::Bound& bound, const scheme::ObjectSpec& parent,
                  ObjectGraph::RangeParent* range) {
  const scheme::ObjectSpec& child = bound.child();
  const scheme::ChunkRange chunks = bound.ChunksTaking(range->place);
  for (uint64_t chunk = chunks.first; chunk < chunks.end; ++chunk) {
    const scheme::Region need =
        bound.NeedOf(range->place, {child.first_elem(chunk), child.chunk_elem_count(chunk)});
    const auto [first, end] = ChunksOf(need, parent.chunk_bytes());
    range->most_chunks = std::max(range->most_chunks, end - first);
    range->most_bytes =
        std::max(range->most_bytes, CoveredBytes(need, parent.chunk_bytes(), parent.byte_size));
  }
}

// One chunk needs few of many parents: what all of them are said to need is no more than what one
// chunk needs of all.
void LimitTogether(const scheme::Bound& bound, const format::Index& index,
                   std::span<ObjectGraph::RangeParent> ranges) {
  const scheme::ObjectSpec& child = bound.child();
  std::vector<uint64_t> bytes(child.chunk_count());  // By chunk.
  for (const ObjectGraph::RangeParent& range : ranges) {
    const format::ObjectEntry& parent = index.objects[range.object];
    const scheme::ChunkRange chunks = bound.ChunksTaking(range.place);
    for (uint64_t chunk = chunks.first; chunk < chunks.end; ++chunk) {
      const scheme::Region need =
          bound.NeedOf(range.place, {child.first_elem(chunk), child.chunk_elem_count(chunk)});
      if (need.size() == 0) continue;
      bytes[chunk] += CoveredBytes(need, parent.chunk_bytes(), parent.byte_size);
    }
  }
  uint64_t left = bytes.empty() ? 0 : *std::max_element(bytes.begin(), bytes.end());
  for (ObjectGraph::RangeParent& range : ranges) {
    if (range.most_bytes > left) {
      range.most_bytes = left;
      if (left == 0) range.most_chunks = 0;
    }
    left -= range.most_bytes;
  }
}

}  // namespace

scheme::ObjectSpec SpecOf(const format::ObjectEntry& object) {
  scheme::ObjectSpec spec;
  spec.dtype = object.dtype;
  spec.byte_size = object.byte_size;
  spec.row_elems = object.row_elems;
  spec.chunk_elems = object.chunk_elems;
  return spec;
}

Result<ObjectGraph> ObjectGraph::Make(const format::Index& index, uint64_t max_memory) {
  ObjectGraph graph;
  graph.memory_ = MemoryOf(index, sizeof(Node));
  if (graph.memory_ > max_memory) {
    return LimitExceeded("the index takes more than the memory allowed (max_memory)");
  }
  graph.nodes_.resize(index.objects.size());
  std::vector<scheme::ObjectSpec> parents;  // Of one object at a time.
  for (uint32_t id = 0; id < index.objects.size(); ++id) {
    if (index.objects[id].scheme == kNoScheme) continue;
    const Status status = graph.Bind(index, id, &parents);
    if (!status.ok()) return status.WithContext("object " + std::to_string(id));
  }
  graph.Connect(index);
  return graph;
}

Status ObjectGraph::Bind(const format::Index& index, uint32_t id,
                         std::vector<scheme::ObjectSpec>* parents) {
  const format::ObjectEntry& object = index.objects[id];
  parents->clear();
  for (const uint32_t parent : index.parents_of(object)) {
    parents->push_back(SpecOf(index.objects[parent]));
  }
  auto bound = scheme::BindScheme(object.scheme, SpecOf(object), *parents, object.params);
  // It costs those tensors, not the archive.
  if (bound.status().code() == ErrorCode::kUnsupportedFeature) return {};
  QSTORE_TRY(bound.status());
  nodes_[id].bound = std::move(bound).value();
  return {};
}

void ObjectGraph::Connect(const format::Index& index) {
  std::vector<bool> is_whole(nodes_.size());  // Taken whole by some object.
  const auto for_each_parent = [&](uint32_t id, const auto& visit) {
    if (nodes_[id].bound == nullptr) return;
    const auto ids = index.parents_of(index.objects[id]);
    for (uint32_t p = 0; p < ids.size(); ++p) visit(ids[p], nodes_[id].bound->TakeOf(p), p);
  };
  for (uint32_t id = 0; id < nodes_.size(); ++id) {
    for_each_parent(id, [&](uint32_t parent, scheme::Take take, uint32_t) {
      if (take == scheme::Take::kWhole) is_whole[parent] = true;
    });
  }
  wholes_.reserve(index.parents.size());
  size_t ranges = 0;
  for (uint32_t id = 0; id < nodes_.size(); ++id) {
    for_each_parent(id, [&](uint32_t, scheme::Take take, uint32_t) {
      ranges += take == scheme::Take::kRange ? 1 : 0;
    });
  }
  ranges_.reserve(ranges);
  for (uint32_t id = 0; id < nodes_.size(); ++id) {
    Node& node = nodes_[id];
    node.wholes.begin = static_cast<uint32_t>(wholes_.size());
    node.ranges.begin = static_cast<uint32_t>(ranges_.size());
    for_each_parent(id, [&](uint32_t parent, scheme::Take take, uint32_t p) {
      if (take == scheme::Take::kRange) {
        const scheme::ObjectSpec spec = SpecOf(index.objects[parent]);
        CountCovered(*node.bound, spec, &ranges_.emplace_back(RangeParent{parent, p}));
      } else if (take == scheme::Take::kWhole || (is_whole[id] && is_whole[parent])) {
        wholes_.push_back(parent);
      } else {
        node.chunk_parent = parent;
      }
    });
    node.wholes.end = static_cast<uint32_t>(wholes_.size());
    node.ranges.end = static_cast<uint32_t>(ranges_.size());
    if (node.ranges.size() > 2) {
      LimitTogether(*node.bound, index, std::span(ranges_).subspan(node.ranges.begin));
    }
  }
}

unsigned ObjectGraph::ChunkedAncestors(uint32_t object) const {
  unsigned count = 0;
  for (; chunk_parent(object) != kNoObject; object = chunk_parent(object)) ++count;
  return count;
}

}  // namespace qstore::store
