// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "qstore/status.h"
#include "store/archive_file.h"
#include "store/chunk_batch.h"
#include "store/read_ahead.h"

namespace qstore::store {

/// Where a stretch of an object's content goes.
struct ReadTarget {
  uint32_t object = 0;
  uint64_t begin = 0;  ///< In the object.
  std::span<std::byte> out;
};

/// The chunks that fill a set of targets, as trees: an object asked for or needed, with its
/// children among those. A chunk of a tree's root and the chunks of its descendants with the same
/// number are decoded together, so that a parent's content is still at hand.
class ReadPlan {
 public:
  ReadPlan(const ArchiveFile& archive, std::vector<ReadTarget> targets, unsigned threads);

  /// Work for one thread at a time, in the order of the archive.
  size_t unit_count() const { return units_.size(); }
  /// Appends what the unit reads of the archive. `whole` are the scales whose reading earlier units
  /// have told of already.
  void AddExtents(size_t unit, std::unordered_set<uint32_t>* whole,
                  std::vector<Extent>* extents) const;
  /// Fills what the unit has of the targets.
  Status RunUnit(size_t unit, ObjectCache* wholes, ChunkBatch* batch) const;

 private:
  struct Node {
    uint32_t object = 0;
    unsigned depth = 0;
    std::vector<uint32_t> children;              // In nodes_.
    std::pair<size_t, size_t> targets = {0, 0};  // In targets_.
    uint32_t chunk_begin = 0;                    // What targets of the subtree span.
    uint32_t chunk_end = 0;
    bool is_whole = false;  // Taken whole by chunks of others, and a tree of its own.
  };
  // One chunk number of a tree, or all of an object that comes from the cache.
  struct Task {
    uint32_t node = 0;
    uint32_t chunk = 0;
  };
  struct Unit {
    size_t first_task = 0;
    size_t end_task = 0;
  };
  // A decoded chunk that targets take a copy of.
  struct Copy {
    size_t step;
    uint32_t node;
    uint32_t chunk;
  };

  bool HasTreeParent(uint32_t object) const;
  void FindWholes();
  void MakeNodes();
  uint32_t NodeOf(uint32_t object);
  void MarkWholes();
  void MakeUnits(unsigned threads);
  uint64_t Cost(const Node& node, uint32_t chunk) const;
  bool Overlaps(const Node& node, uint32_t chunk) const;
  bool SubtreeNeeds(const Node& node, uint32_t chunk) const;
  bool NeedsOwn(const Node& node, uint32_t chunk) const;
  void AddNode(const Node& node, uint32_t chunk, std::unordered_set<uint32_t>* whole,
               std::vector<Extent>* extents) const;
  void Emit(uint32_t node, uint32_t chunk, size_t parent, ChunkBatch* batch,
            std::vector<Copy>* copies) const;
  void CopyOut(const Node& node, uint64_t begin, std::span<const std::byte> content) const;

  const ArchiveFile& archive_;
  std::vector<ReadTarget> targets_;  // By object.
  std::vector<uint32_t> wholes_;     // Objects that others take whole, ascending.
  std::vector<Node> nodes_;          // By object.
  std::vector<Task> tasks_;
  std::vector<Unit> units_;
};

}  // namespace qstore::store
