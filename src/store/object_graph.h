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

/// By object: whether some file has it. Others are there for those that follow from them.
std::vector<bool> ObjectsOfFiles(const format::Index& index);

/// The objects of an archive with their parents, each bound by its scheme: which chunks need what.
/// Immutable.
class ObjectGraph {
 public:
  ObjectGraph() = default;
  /// Binds every object, those that are alike but for their content as one; one whose scheme is
  /// unknown here stays unbound. `index` outlives the graph. Errors: those of scheme::BindScheme
  /// but kUnsupportedFeature, naming the object, and kLimit when it takes more than `max_memory`
  /// bytes.
  static Result<ObjectGraph> Make(const format::Index& index, uint64_t max_memory);

  /// Null for an object without parents, or of an unknown scheme.
  const scheme::Bound* bound(uint32_t object) const { return node(object).bound; }
  /// The parent of which chunk i is needed for chunk i of the object, or kNoObject. Of what others
  /// take whole, as scales, a parent that is taken whole as well is so here too: both are at hand.
  uint32_t chunk_parent(uint32_t object) const { return node(object).chunk_parent; }
  /// The parents that its chunks take whole.
  std::span<const uint32_t> whole_parents(uint32_t object) const {
    const format::Range wholes = node(object).wholes;
    return std::span(wholes_).subspan(wholes.begin, wholes.size());
  }
  /// A parent of which its chunks take ranges.
  struct RangeParent {
    uint32_t object = 0;
    uint32_t place = 0;        ///< Among the parents.
    uint64_t most_bytes = 0;   ///< Of chunks of the parent that one chunk needs.
    uint64_t most_chunks = 0;  ///< Likewise.
  };
  std::span<const RangeParent> range_parents(uint32_t object) const {
    const format::Range ranges = node(object).ranges;
    return std::span(ranges_).subspan(ranges.begin, ranges.size());
  }
  /// Ancestors whose chunks are decoded together with those of the object.
  unsigned ChunkedAncestors(uint32_t object) const;

  uint64_t memory() const { return memory_; }

 private:
  struct Node {
    const scheme::Bound* bound = nullptr;  // One of bounds_.
    uint32_t chunk_parent = kNoObject;
    format::Range wholes;
    format::Range ranges;
  };
  class Binder;

  const Node& node(uint32_t object) const {
    return nodes_[number_of_.empty() ? 0 : number_of_[object]];
  }
  void Connect(const format::Index& index);

  std::vector<uint32_t> number_of_;  // By object: its node. Empty where no object has a scheme.
  std::vector<Node> nodes_ = std::vector<Node>(1);  // The first is that of all without a scheme.
  std::vector<std::unique_ptr<const scheme::Bound>> bounds_;
  std::vector<uint32_t> wholes_;  // Objects.
  std::vector<RangeParent> ranges_;
  uint64_t memory_ = 0;
};

}  // namespace qstore::store
