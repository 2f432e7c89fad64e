// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/huffman.h"
#include "scheme/delta/delta_coder.h"

namespace qstore::scheme {

/// Which class each run has, and which context each exponent in each class.
struct DeltaClasses {
  size_t contexts = 1;
  std::vector<uint8_t> maps;  ///< By class, then by how far the exponent lies below the top.
};

/// Runs of 2^run_bits elements.
struct DeltaRuns {
  std::span<const uint8_t> symbols;
  std::span<const uint8_t> below;   ///< How far exponents lie below the top, by element.
  std::span<const uint64_t> moved;  ///< How far weights are from their parents, by run.
  unsigned run_bits = 0;
};

/// Chooses classes so that the stream takes few bytes; fills `class_of`, by run.
DeltaClasses ClassifyDelta(const DeltaRuns& runs, std::vector<uint8_t>* class_of);

}  // namespace qstore::scheme
