// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qstore/dtype.h"

namespace qstore::codec {

/// Numbers in ascending order that a row stream codes: symbol s stands for the numbers from
/// lower(s) to lower(s + 1), of which center(s) is one.
class RowSymbols {
 public:
  /// The numbers -128 to 127.
  static RowSymbols Int8();
  /// Floats without their low `shift` bits, whose magnitudes without these are from `base` to
  /// `base + magnitudes - 1`: first the negative ones, from the largest magnitude on.
  /// REQUIRES: FitFloats.
  static RowSymbols Floats(DType dtype, unsigned shift, uint32_t base, uint32_t magnitudes);
  /// Whether these are at least one magnitude, at most kMaxMagnitudes, and all finite.
  static bool FitFloats(DType dtype, unsigned shift, uint64_t base, uint64_t magnitudes);

  static constexpr uint32_t kMaxMagnitudes = 2048;

  uint32_t size() const { return static_cast<uint32_t>(center_.size()); }
  /// Of s in 1 to size() - 1.
  float lower(uint32_t s) const { return lower_[s]; }
  float center(uint32_t s) const { return center_[s]; }
  /// Most often the symbol of `value`, which may be anything; else any.
  uint32_t Guess(float value) const;

 private:
  // Of floats: from the bits of an F32, scaled to the exponent of the type, to a magnitude.
  float to_type_ = 0;
  unsigned drop_ = 0;
  uint32_t base_ = 0;
  uint32_t magnitudes_ = 0;  // 0 for integers.
  std::vector<float> lower_;
  std::vector<float> center_;
};

}  // namespace qstore::codec
