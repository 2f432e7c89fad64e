// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "qstore/status.h"
#include "store/source_model.h"

namespace qstore::store {

/// kInvalidArgument where `output` is there and one of the inputs: writing to it would destroy
/// that.
Status CheckOutputIsNoInput(std::span<const SourceVariant> variants,
                            const std::filesystem::path& output);

/// Errors: kSourceChanged, naming the file.
Status CheckSourcesUnchanged(std::span<const SourceVariant> variants);

/// Of all files.
uint64_t SourceBytes(std::span<const SourceVariant> variants);

}  // namespace qstore::store
