// SPDX-License-Identifier: Apache-2.0
#include "store/object_graph.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/status_macros.h"
#include "scheme/registry.h"

namespace qstore::store {
namespace {

// Of a bound scheme, its parents not included.
constexpr uint64_t kBoundBytes = 256;
// Objects that may be alike are remembered by a hash: as many kinds as models have at most times.
constexpr size_t kKinds = 4096;

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

std::vector<bool> ObjectsOfFiles(const format::Index& index) {
  std::vector<bool> of_files(index.objects.size());
  for (const uint32_t object : index.parts) of_files[object] = true;
  return of_files;
}

/// Binds objects to their parents. What a scheme makes of them follows from their sizes and
/// parameters alone, in which the tensors of a large model mostly agree: these share what is bound.
class ObjectGraph::Binder {
 public:
  Binder(const format::Index& index, uint64_t max_memory, ObjectGraph* graph)
      : index_(index), max_memory_(max_memory), graph_(*graph) {}

  Status Run() {
    QSTORE_TRY(MakeNodes());
    for (uint32_t id = 0; id < index_.objects.size(); ++id) {
      if (index_.objects[id].scheme == kNoScheme) continue;
      const Status status = Bind(id);
      if (!status.ok()) return status.WithContext("object " + std::to_string(id));
    }
    return {};
  }

 private:
  Status MakeNodes() {
    const auto& objects = index_.objects;
    const auto with_scheme = static_cast<size_t>(std::ranges::count_if(
        objects, [](const format::ObjectEntry& object) { return object.scheme != kNoScheme; }));
    if (with_scheme == 0) return {};
    QSTORE_TRY(Take(objects.size() * sizeof(uint32_t) + (1 + with_scheme) * sizeof(Node) +
                    index_.parents.size() * sizeof(uint32_t) + kKinds * sizeof(uint32_t)));
    graph_.number_of_.resize(objects.size());
    graph_.nodes_.resize(1 + with_scheme);
    uint32_t next = 0;
    for (uint32_t id = 0; id < objects.size(); ++id) {
      if (objects[id].scheme != kNoScheme) graph_.number_of_[id] = ++next;
    }
    kinds_.assign(kKinds, kNoObject);
    return {};
  }

  Status Take(uint64_t bytes) {
    graph_.memory_ += bytes;
    if (graph_.memory_ <= max_memory_) return {};
    return LimitExceeded("the index takes more than the memory allowed (max_memory)");
  }

  Status Bind(uint32_t id) {
    Node& node = graph_.nodes_[graph_.number_of_[id]];
    uint32_t& kind = kinds_[HashOf(id) % kKinds];
    if (kind != kNoObject && IsSame(kind, id)) {
      node.bound = graph_.bound(kind);
    } else {
      QSTORE_TRY(BindNew(id, &node));
      kind = id;
    }
    if (node.bound == nullptr) return {};
    uint64_t ranges = 0;
    for (size_t p = 0; p < node.bound->parent_count(); ++p) {
      ranges += node.bound->TakeOf(p) == scheme::Take::kRange ? 1 : 0;
    }
    return Take(ranges * sizeof(RangeParent));
  }

  Status BindNew(uint32_t id, Node* node) {
    const format::ObjectEntry& object = index_.objects[id];
    parents_.clear();
    for (const uint32_t parent : index_.parents_of(object)) {
      parents_.push_back(SpecOf(index_.objects[parent]));
    }
    QSTORE_TRY(Take(kBoundBytes + parents_.size() * sizeof(uint64_t)));
    auto bound = scheme::BindScheme(object.scheme, SpecOf(object), parents_, object.params);
    // It costs those tensors, not the archive.
    if (bound.status().code() == ErrorCode::kUnsupportedFeature) return {};
    QSTORE_TRY(bound.status());
    node->bound = graph_.bounds_.emplace_back(std::move(bound).value()).get();
    return {};
  }

  uint64_t HashOf(uint32_t id) const {
    const format::ObjectEntry& object = index_.objects[id];
    uint64_t hash = base::Hash64(object.params);
    const auto add = [&hash](uint64_t number) {
      hash = (hash ^ number) * 0x9E3779B97F4A7C15U;
      hash ^= hash >> 32;
    };
    add(object.scheme);
    add(object.byte_size);
    add(object.row_elems);
    for (const uint32_t parent : index_.parents_of(object)) add(index_.objects[parent].byte_size);
    return hash;
  }

  bool IsSame(uint32_t a, uint32_t b) const {
    const format::ObjectEntry& one = index_.objects[a];
    const format::ObjectEntry& other = index_.objects[b];
    return one.scheme == other.scheme && SpecOf(one) == SpecOf(other) &&
           std::ranges::equal(one.params, other.params) &&
           std::ranges::equal(index_.parents_of(one), index_.parents_of(other),
                              [this](uint32_t p, uint32_t q) {
                                return SpecOf(index_.objects[p]) == SpecOf(index_.objects[q]);
                              });
  }

  const format::Index& index_;
  const uint64_t max_memory_;
  ObjectGraph& graph_;
  std::vector<uint32_t> kinds_;              // By hash: an object, or kNoObject.
  std::vector<scheme::ObjectSpec> parents_;  // Of one object at a time.
};

Result<ObjectGraph> ObjectGraph::Make(const format::Index& index, uint64_t max_memory) {
  ObjectGraph graph;
  QSTORE_TRY(Binder(index, max_memory, &graph).Run());
  graph.Connect(index);
  return graph;
}

void ObjectGraph::Connect(const format::Index& index) {
  if (number_of_.empty()) return;
  std::vector<bool> is_whole(number_of_.size());  // Taken whole by some object.
  const auto for_each_parent = [&](uint32_t id, const auto& visit) {
    if (bound(id) == nullptr) return;
    const auto ids = index.parents_of(index.objects[id]);
    for (uint32_t p = 0; p < ids.size(); ++p) visit(ids[p], bound(id)->TakeOf(p), p);
  };
  size_t ranges = 0;
  for (uint32_t id = 0; id < number_of_.size(); ++id) {
    for_each_parent(id, [&](uint32_t parent, scheme::Take take, uint32_t) {
      if (take == scheme::Take::kWhole) is_whole[parent] = true;
      if (take == scheme::Take::kRange) ++ranges;
    });
  }
  wholes_.reserve(index.parents.size());
  ranges_.reserve(ranges);
  for (uint32_t id = 0; id < number_of_.size(); ++id) {
    if (number_of_[id] == 0) continue;
    Node& node = nodes_[number_of_[id]];
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
