// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "scheme/grid/grid_params.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// Elements that are rounded at a time: what the first-level cache holds as floats.
inline constexpr uint64_t kStrip = 1024;

/// Scratch memory of a Predictor.
struct PredictorScratch {
  std::vector<float> values;
  std::vector<float> scaled;
  std::vector<uint8_t> codes;
  // By group of the chunk.
  std::vector<Extremes> extremes;
  std::vector<Stored> stored;
  std::vector<float> factors;
  std::vector<float> zeros;
};

/// Says what a rule makes of weights. Deterministic, on every instruction set.
class Predictor {
 public:
  /// `weights` is the type of the weights, of which there are `elem_count` in all.
  Predictor(const GridParams& params, DType weights, uint64_t elem_count,
            PredictorScratch* scratch);

  /// Fills `out` with the codes of weights, in their layout. Scales and zero points are those
  /// given; those of them that are not given come from the weights, which then are whole groups.
  void Codes(const GroupRange& range, std::span<const std::byte> weights,
             const SidesOf<ParentContent>& sides, std::span<std::byte> out);
  /// Fills `out` with the scales of weights that are whole groups.
  void Scales(const GroupRange& range, std::span<const std::byte> weights,
              const SidesOf<ParentContent>& sides, std::span<std::byte> out);
  /// Fills `out` with the zero points of weights that are whole groups, of rows that fill elements,
  /// or with the biases of weights that are whole groups.
  void Zeros(const GroupRange& range, std::span<const std::byte> weights, std::span<std::byte> out);

  /// Fills `out` with the weights that codes stand for. Scales are given. Codes are whole elements.
  void Values(const GroupRange& range, std::span<const std::byte> packed,
              const SidesOf<ParentContent>& sides, std::span<std::byte> out);

 private:
  void FindExtremes(const GroupRange& range, std::span<const std::byte> weights);
  void FindFactors(const GroupRange& range, std::span<const std::byte> weights,
                   const SidesOf<ParentContent>& sides);
  void Widen(std::span<const std::byte> weights, uint64_t begin, uint64_t count, float* out) const;
  void Round(const float* values, size_t count, uint8_t* codes) const;
  void Pack(size_t count, std::span<std::byte> out) const;
  const uint8_t* Unpack(std::span<const std::byte> codes, size_t count);
  void FindAbsmax(std::span<const std::byte> weights, uint64_t begin, uint64_t run, uint64_t count,
                  uint32_t* most);
  void FindEnds(std::span<const std::byte> weights, uint64_t begin, uint64_t run, uint64_t count,
                float* least, float* greatest);
  void FindStored(float global);
  float ZeroIn(const ParentContent& zeros, uint64_t group) const;

  GridParams params_;
  Groups groups_;  // Those of the parameters, as runs where they are.
  const Rounding& rounding_;
  const codec::RoundKernels& kernels_;
  DType weights_;
  PredictorScratch& scratch_;
};

/// The global scale, an F32; 1 when there is none.
float GlobalOf(const SidesOf<ParentContent>& sides);

/// The factor of a group with the scale that is stored for it.
float StoredFactor(const Rounding& rounding, DType weights, const SidesOf<ParentContent>& sides,
                   uint64_t group);

/// Bytes of scratch memory that predicting takes for so many codes and groups.
uint64_t PredictorBytes(uint64_t codes, uint64_t groups);

}  // namespace qstore::scheme
