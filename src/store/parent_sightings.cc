// SPDX-License-Identifier: Apache-2.0
#include "store/parent_sightings.h"

namespace qstore::store {

void ParentSightings::Resize(size_t chunk_count) {
  raw_hashes_.resize(chunk_count);
  is_coded_.resize(chunk_count);
}

void ParentSightings::Coded(uint32_t chunk, uint64_t raw_hash) {
  raw_hashes_[chunk] = raw_hash;
  is_coded_[chunk] = true;
}

bool ParentSightings::Seen(const ParentSighting& sighting) {
  if (is_coded_[sighting.chunk]) return IsRight(sighting);
  early_.push_back(sighting);
  return true;
}

std::optional<ParentSighting> ParentSightings::FirstWrong() const {
  for (const ParentSighting& sighting : early_) {
    if (!IsRight(sighting)) return sighting;
  }
  return std::nullopt;
}

bool ParentSightings::IsRight(const ParentSighting& sighting) const {
  return raw_hashes_[sighting.chunk] == sighting.raw_hash;
}

}  // namespace qstore::store
