// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "qstore/status.h"
#include "store/archive_file.h"
#include "store/chunk_batch.h"
#include "store/memory_needs.h"
#include "store/read_ahead.h"
#include "store/whole_buffers.h"
#include "store/whole_source.h"

namespace qstore::store {

/// Where a stretch of an object's content goes.
struct ReadTarget {
  uint32_t object = 0;
  uint64_t begin = 0;  ///< In the object.
  std::span<std::byte> out;
};

/// The chunks that fill a set of targets, as trees: an object asked for or needed, with its
/// children among those. A chunk of a tree's root and the chunks of its descendants with the same
/// number are decoded together, so that a parent's content is still at hand. A large object that
/// chunks of others take whole is put together by units of its own tree, which come before those
/// that take it. Where memory is too small for this, each object asked for is a tree of its own,
/// and comes with what it needs of its ancestors.
class ReadPlan {
 public:
  /// Makes the plan that takes at most `memory`, with as many threads as that allows, at most
  /// `threads`. Errors: kLimit, naming the object that takes most.
  static Result<std::unique_ptr<ReadPlan>> Make(const ArchiveFile& archive,
                                                std::vector<ReadTarget> targets, unsigned threads,
                                                uint64_t memory);

  unsigned threads() const { return shares_.threads; }
  /// Bytes of scratch memory for each thread, and of contents held whole for all: those that units
  /// put together, and those of a cache.
  uint64_t thread_bytes() const { return needs_.thread; }
  uint64_t together_bytes() const { return together_bytes_; }
  uint64_t cache_bytes() const { return cache_bytes_; }
  /// What is asked of the cache while chunks of the tree with this root are decoded.
  uint64_t CacheNeeds(uint32_t root) const { return nodes_[NodeOf(root)].cache_needs; }

  /// Work for one thread at a time: in the order of the archive, or where nothing speaks against it
  /// in several places of it in turn (`unit_streams.h`).
  size_t unit_count() const { return units_.size(); }
  /// Appends what the unit reads of the archive. `whole` are the scales whose reading earlier units
  /// have told of already.
  void AddExtents(size_t unit, AheadSet* whole, std::vector<Extent>* extents) const;
  /// What units put together for later ones.
  const std::vector<WholeBuffers::Whole>& wholes() const { return wholes_; }
  /// Fills what the unit has of the targets and of `wholes`. Parents that are neither come from
  /// `cache`. The batch is made when there is none. REQUIRES: units begin in order, and one that
  /// has begun runs to its end whatever becomes of others.
  Status RunUnit(size_t unit, ReadAhead* ahead, WholeSource* cache, WholeBuffers* wholes,
                 std::unique_ptr<ChunkBatch>* batch) const;

 private:
  // A unit that is full has stored bytes, and a quarter of those decoded, of at least
  // kSmallestUnit, or that many tasks.
  static constexpr uint64_t kSmallestUnit = uint64_t{1} << 17;
  static constexpr size_t kUnitTasks = 256;

  struct Node {
    uint32_t object = 0;
    format::Range children;    // In children_.
    format::Range targets;     // In targets_.
    uint32_t chunk_begin = 0;  // What targets of the subtree span.
    uint32_t chunk_end = 0;
    uint32_t whole = WholeBuffers::kNone;  // In wholes_, when it is put together there.
    uint32_t takes = WholeBuffers::kNone;  // In wholes_: what its chunks take. Only of roots.
    uint16_t depth = 0;
    bool is_cached = false;    // Taken whole by chunks of others, small, and a tree of its own.
    bool is_planned = false;   // A root whose tasks are there.
    uint64_t cache_needs = 0;  // Of a root, for its whole tree.
  };
  // One chunk number of a tree, or all of an object that comes from the cache.
  struct Task {
    uint32_t node = 0;
    uint32_t chunk = 0;
    uint64_t cost = 0;
  };
  struct Unit {
    size_t first_task = 0;
    size_t end_task = 0;
    std::vector<WholeBuffers::Use> uses;
  };
  // A decoded chunk that targets take a copy of.
  struct Copy {
    size_t step;
    uint32_t node;
    uint32_t chunk;
  };

  ReadPlan(const ArchiveFile& archive, std::vector<ReadTarget> targets)
      : archive_(archive), targets_(std::move(targets)) {}
  /// Memory of the plan itself, and of the tasks of an object and the units that they are in.
  static uint64_t PlanBytes(const ArchiveFile& archive, std::span<const ReadTarget> targets);
  static uint64_t TaskBytes(const format::ObjectEntry& object);
  void Build(bool shared, unsigned threads);
  void SetNeeds();
  size_t SetTreeNeeds(Node* root);
  void AddTreeNeeds(const Node& node, std::unordered_set<uint32_t>* wholes, uint64_t* bytes,
                    size_t* steps);
  uint64_t MostTogether() const;
  Status Share(unsigned threads, uint64_t memory);

  bool HasTreeParent(uint32_t object) const;
  uint32_t LargestWhole(uint32_t id) const;
  void FindCached();
  void MakeNodes();
  void MakeChildren();
  std::span<const uint32_t> ChildrenOf(const Node& node) const {
    return std::span(children_).subspan(node.children.begin, node.children.size());
  }
  uint32_t NodeOf(uint32_t object) const;
  uint32_t RootOf(uint32_t node) const;
  void SetTargets();
  void MarkWholes();
  void SpanSubtree(Node* node);
  bool PutsTogether(const Node& node) const;
  void AddTasks(uint32_t root);
  void MakeTasks();
  void MakeUnits(unsigned threads);
  void CountUses();
  void SpreadUnits(unsigned threads);
  void AddUses(const Node& node, std::vector<WholeBuffers::Use>* uses) const;
  uint64_t Cost(const Node& node, uint32_t chunk) const;
  bool Overlaps(const Node& node, uint32_t chunk) const;
  bool SubtreeNeeds(const Node& node, uint32_t chunk) const;
  bool NeedsOwn(const Node& node, uint32_t chunk) const;
  void AddNode(const Node& node, uint32_t chunk, AheadSet* whole,
               std::vector<Extent>* extents) const;
  Status Emit(uint32_t node, uint32_t chunk, size_t parent, WholeBuffers* wholes, ChunkBatch* batch,
              std::vector<Copy>* copies) const;
  Result<std::span<std::byte>> PlaceOf(const Node& node, uint64_t begin, uint64_t size,
                                       WholeBuffers* wholes) const;
  Status RunTasks(const Unit& unit, WholeSource* cache, WholeBuffers* wholes,
                  ChunkBatch* batch) const;
  void CopyOut(const Node& node, uint64_t begin, std::span<const std::byte> content) const;

  const ArchiveFile& archive_;
  std::vector<ReadTarget> targets_;  // By object.
  bool is_shared_ = true;            // Ancestors and wholes are nodes of their own.
  MemoryNeeds needs_;
  MemoryShares shares_;
  uint64_t together_bytes_ = 0;
  uint64_t cache_bytes_ = 0;
  std::vector<uint32_t> cached_;    // Other objects that chunks take whole, ascending.
  std::vector<Node> nodes_;         // By object.
  std::vector<uint32_t> children_;  // In nodes_.
  std::vector<WholeBuffers::Whole> wholes_;
  std::vector<Task> tasks_;
  std::vector<Unit> units_;
};

}  // namespace qstore::store
