// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// What the weights of a variant cost by themselves.
struct AloneCost {
  uint64_t code_bits =
      0;  ///< By one Huffman code; of floats one for the low and one for the high byte.
  uint64_t table_bits = 0;  ///< Of the tables of these codes.
  double entropy_bits =
      0;  ///< Weights times the order-0 entropy, of whole symbols also for floats.
  uint64_t non_finite = 0;  ///< NaN and infinities among floats.
};

/// `check` is called every million weights or so; its error ends the work.
Result<AloneCost> CostAlone(const LayerVariant& variant, const std::function<Status()>& check);

/// Bytes of one zstd frame of the variant's weights as they are stored, packed integers packed.
Result<uint64_t> ZstdBytes(const LayerVariant& variant, int zstd_level,
                           const std::function<Status()>& check);

}  // namespace qstore::analyze
