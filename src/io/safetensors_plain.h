// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "io/safetensors.h"
#include "qstore/status.h"

namespace qstore::io {

/// Reads a header in the form that writers give it: entries of dtype, shape and data_offsets in
/// this order, strings of ASCII without escapes. A header of a million tensors takes a general
/// parser longer than all of them take to be loaded. Entries go to `take` and metadata to
/// `metadata`, which may be null, as by SafetensorsParser.
/// Returns false when it is of another form, or wrong: then a general parser is to read all of it
/// again. Errors: those of `take`.
Result<bool> ReadPlainSafetensors(std::string_view json, size_t max_rank,
                                  const SafetensorsEntryTaker& take, SafetensorsMetadata* metadata);

}  // namespace qstore::io
