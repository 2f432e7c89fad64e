// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/grid/factors.h"
#include "scheme/grid/near_coder.h"

// Codes given the weights that a calibrating tool made them of, scales and zero points being known.
// docs/format-grids.md, "Near codes".

namespace qstore::scheme {

/// Weights of a chunk with what they are rounded by, each in the place of its code: by input, then
/// output, or by output, then input.
struct NearWeights {
  size_t inputs = 0;
  size_t outputs = 0;
  bool by_input = true;
  DType scales_dtype = DType::kBF16;  ///< In which the tool counts, if it rounds.
  unsigned bits = 4;
  std::vector<float> values;
  std::vector<float> scales;
  std::vector<uint8_t> zeros;
  // Scratch memory of the functions below.
  std::vector<float> steps;
  std::vector<uint8_t> nearest;
  std::vector<uint8_t> places;
  std::vector<uint8_t> plane;
  Factors factors;
  NearScratch near;

  void Resize();
  size_t count() const { return inputs * outputs; }
};

/// Bytes that a NearWeights and codes of so many weights take.
inline uint64_t NearBytes(uint64_t weights, uint64_t inputs, uint64_t outputs) {
  constexpr uint64_t kPerWeight = 3 * sizeof(float) + 4 + kNearScratchPerCode;
  constexpr uint64_t kPerFactor = sizeof(float) + 1;
  return kPerWeight * weights + kPerFactor * (inputs + outputs) + kNearScratch;
}

/// Appends the codes, which have values from 0 to 2^bits - 1.
void EncodeNearCodes(NearWeights* weights, std::span<const uint8_t> codes,
                     std::vector<std::byte>* out);

/// The inverse; fills `codes`. kCorrupt when the payload is not such a stream. See DecodePlane on
/// slack.
Status DecodeNearCodes(NearWeights* weights, base::ByteReader* payload, std::span<uint8_t> codes);

}  // namespace qstore::scheme
