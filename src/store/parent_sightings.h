// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qstore::store {

/// The content of a parent's chunk, as it was read for a child.
struct ParentSighting {
  uint32_t object;
  uint32_t chunk;  ///< In the table of all chunks.
  uint64_t raw_hash;
};

/// Whether what was read for children is what was coded, in whichever order both happen: a tensor's
/// own scales may come behind it.
class ParentSightings {
 public:
  void Resize(size_t chunk_count);
  /// A chunk's content was coded. Of chunks that are nobody's parent the hash is of no interest.
  void Coded(uint32_t chunk, uint64_t raw_hash);
  /// False when the chunk was coded with another content. Kept when it is not coded yet.
  bool Seen(const ParentSighting& sighting);
  /// The first of those kept whose chunk was coded with another content. REQUIRES: all were coded.
  std::optional<ParentSighting> FirstWrong() const;

 private:
  bool IsRight(const ParentSighting& sighting) const;

  std::vector<uint64_t> raw_hashes_;  // By chunk.
  std::vector<bool> is_coded_;        // By chunk.
  std::vector<ParentSighting> early_;
};

}  // namespace qstore::store
