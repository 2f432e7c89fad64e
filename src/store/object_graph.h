// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "format/index.h"
#include "qstore/status.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"

namespace qstore::store {

inline constexpr uint32_t kNoObject = UINT32_MAX;

/// An object of the index as coders see it.
scheme::ObjectSpec SpecOf(const format::ObjectEntry& object);

/// The objects of an archive with their parents, each bound by its scheme: which chunks need what.
/// Immutable.
class ObjectGraph {
 public:
  ObjectGraph() = default;
  /// Binds every object; one whose scheme is unknown here stays unbound. `index` outlives the
  /// graph. Errors: those of scheme::BindScheme but kUnsupportedFeature, naming the object, and
  /// kLimit when it takes more than `max_memory` bytes.
  static Result<ObjectGraph> Make(const format::Index& index, uint64_t max_memory);

  /// Null for an object without parents, or of an unknown scheme.
  const scheme::Bound* bound(uint32_t object) const { return nodes_[object].bound.get(); }
  /// The parent of which chunk i is needed for chunk i of the object, or kNoObject. Of what others
  /// take whole, as scales, a parent that is taken whole as well is so here too: both are at hand.
  uint32_t chunk_parent(uint32_t object) const { return nodes_[object].chunk_parent; }
  /// The parents that its chunks take whole.
  std::span<const uint32_t> whole_parents(uint32_t object) const {
    return std::span(wholes_).subspan(nodes_[object].wholes.begin, nodes_[object].wholes.size());
  }
  /// A parent of which its chunks take ranges.
  struct RangeParent {
    uint32_t object = 0;
    uint32_t place = 0;        ///< Among the parents.
    uint64_t most_bytes = 0;   ///< Of chunks of the parent that one chunk needs.
    uint64_t most_chunks = 0;  ///< Likewise.
  };
  std::span<const RangeParent> range_parents(uint32_t object) const {
    return std::span(ranges_).subspan(nodes_[object].ranges.begin, nodes_[object].ranges.size());
  }
  /// Ancestors whose chunks are decoded together with those of the object.
  unsigned ChunkedAncestors(uint32_t object) const;

  uint64_t memory() const { return memory_; }

 private:
  struct Node {
    std::unique_ptr<const scheme::Bound> bound;
    uint32_t chunk_parent = kNoObject;
    format::Range wholes;
    format::Range ranges;
  };
  Status Bind(const format::Index& index, uint32_t id, std::vector<scheme::ObjectSpec>* parents);
  void Connect(const format::Index& index);

  std::vector<Node> nodes_;       // By object.
  std::vector<uint32_t> wholes_;  // Objects.
  std::vector<RangeParent> ranges_;
  uint64_t memory_ = 0;
};

}  // namespace qstore::store
