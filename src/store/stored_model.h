// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "qstore/status.h"
#include "store/pack_plan.h"
#include "store/stored_contents.h"

namespace qstore::store {

/// The variants and objects of an archive as those of a plan. Reads the heads of its files; what
/// else of them is read is decoded then. The archive outlives what is returned.
/// Errors: kCorrupt, kUnsupportedFeature, kLimit and read errors, naming the file.
Result<StoredModel> ListStored(const std::shared_ptr<StoredContents>& contents);

}  // namespace qstore::store
