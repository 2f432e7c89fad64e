// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "qstore/export.h"
#include "qstore/pack.h"
#include "qstore/status.h"

namespace qstore {

/// What a variant would take. VariantSizes has the same of an archive.
struct VariantEstimate {
  std::string name;
  uint64_t source_bytes = 0;  ///< Of its files.
  uint64_t own_bytes = 0;     ///< Of payloads that no variant before it in the archive uses.
  uint64_t load_bytes = 0;    ///< That a load of all its tensors reads.
};

/// A way to store the variants.
struct ArrangementEstimate {
  std::vector<std::string> direct;        ///< As PackOptions::direct.
  std::vector<VariantEstimate> variants;  ///< In the order given.
  uint64_t stored_bytes = 0;              ///< Of the archive.
};

struct PackEstimate {
  uint64_t source_bytes = 0;  ///< Of all files of all variants.
  /// First what Pack would do with these options. Then, where they are others: no variant direct,
  /// and each variant direct by itself that PackOptions::parents has no parent for.
  std::vector<ArrangementEstimate> arrangements;
};

/// What Pack would write, for these options and for other choices of direct variants. Writes
/// nothing, and reads samples of the files: what differs only outside of them is taken for equal,
/// and what is rare is known less well. `overwrite` and `sync` mean nothing here; of `progress` the
/// callback may cancel. Deterministic, for every number of threads. Errors: those of Pack for its
/// inputs.
QSTORE_EXPORT Result<PackEstimate> EstimatePack(std::span<const VariantSource> variants,
                                                const PackOptions& options = {});

}  // namespace qstore
