// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "format/index.h"
#include "qstore/status.h"
#include "store/pack_encoder.h"
#include "store/pack_plan.h"

namespace qstore::store {

/// The tables of an archive of that plan. They have views of names of the plan.
format::Index MakeIndex(const PackPlan& plan, EncodedObjects encoded);

/// What an archive ends with, behind payloads that end at `offset`: index and footer.
/// Errors: kLimit, when readers would not accept the index.
Result<std::vector<std::byte>> EncodeEnd(const format::Index& index, uint64_t offset,
                                         format::Gaps gaps = format::Gaps::kNone);

}  // namespace qstore::store
