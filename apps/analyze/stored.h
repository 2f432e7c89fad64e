// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "qstore/pack.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// What an archive takes for one variant of a layer.
struct StoredVariant {
  std::string variant;
  uint64_t weight_bytes = 0;  ///< Of P.weight or P.qweight.
  uint64_t side_bytes = 0;    ///< Of all its other tensors that no earlier variant has.
  std::string how;            ///< "cast of 8", or "none".
};

/// Packs models of one layer each into `archive`, which is removed again, and tells what each took,
/// in the order of `variants`. `options` are those of Pack but for where the archive goes.
/// Errors: those of Pack.
Result<std::vector<StoredVariant>> StoredSizes(std::span<const VariantSource> variants,
                                               const std::filesystem::path& archive,
                                               PackOptions options);

}  // namespace qstore::analyze
