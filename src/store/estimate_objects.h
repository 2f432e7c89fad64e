// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "qstore/level.h"
#include "qstore/status.h"
#include "store/pack_encoder.h"
#include "store/pack_plan.h"
#include "store/sample_cache.h"

namespace qstore::store {

struct EstimateOptions {
  Level level = Level::kBalanced;
  unsigned threads = 1;
  std::function<Status()> poll;    ///< An error stops the work; called from one thread at a time.
  bool sha256 = false;             ///< Of each file.
  SampleCache* samples = nullptr;  ///< Not null: what is coded comes from there or goes there.
};

/// Does what EncodeObjects does for the index, but codes samples: chunks that are not among them
/// get codec and size of one like them. Checksums and digests are numbers without meaning.
/// Errors: read errors naming the file, those of options.poll.
Result<EncodedObjects> EstimateObjects(const PackPlan& plan, const EstimateOptions& options);

}  // namespace qstore::store
