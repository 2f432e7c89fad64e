// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/grid/grid.h"
#include "scheme/grid/rounding.h"

namespace qstore::scheme {

/// Weights given codes of 8 bits that a rule made of them; scales are the rule's factors.
/// docs/format-grids.md, "Weights given codes".
class RoundingGrid final : public Grid {
 public:
  explicit RoundingGrid(const Rounding& rounding) : rounding_(rounding) {}

  bool FindBins(const BinRule& rule, float factor,
                uint32_t first[kMaxMagnitude + 2]) const override;
  bool FindTable(float factor, unsigned shift, codec::BinTable8* table) const override;

 private:
  const Rounding& rounding_;
};

}  // namespace qstore::scheme
