// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/row_code.h"

namespace qstore::codec {

/// How much of a distribution lies in each step from its mean, either side.
class RowShapeCount {
 public:
  /// Spreads one number over where it may have lain, in steps from the mean.
  void Add(float from, float to);

  /// What the numbers take by a code of this shape, at a density of one a step.
  double bits() const;
  /// The shape as it is sent.
  RowShapeWeights Weights() const;

 private:
  void AddHalf(float from, float to, double mass);

  double counts_[kShapeSteps] = {};
};

}  // namespace qstore::codec
