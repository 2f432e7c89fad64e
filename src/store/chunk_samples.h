// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/pack_encoder.h"
#include "store/pack_plan.h"

namespace qstore::store {

struct ChunkPlace {
  uint32_t object = 0;
  uint32_t chunk = 0;  ///< Of the object.
};

/// Chunks that are coded so that what the others take is known.
struct ChunkSamples {
  std::vector<ChunkPlace> places;  ///< Those of one object lie one behind the other.
  std::vector<uint32_t> of_chunk;  ///< By chunk in the table of all: the sample that is like it.
};

/// Chooses few of many chunks, and all of few. `laid_out` are the objects of the plan.
ChunkSamples ChooseSamples(const PackPlan& plan, const EncodedObjects& laid_out);

/// A text that is equal for objects which are coded in the same way: of one variant and type, with
/// one scheme and parents of the same variants. Objects that are no tensors have one in common.
std::string KindOf(const PackPlan& plan, uint32_t id);

/// A number that looks like chance, the same every time.
uint64_t Mixed(uint64_t number);

}  // namespace qstore::store
