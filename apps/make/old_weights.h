// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/output_tree.h"
#include "qstore/status.h"

namespace qstore::make {

/// Tells `tree` to remove, with its commit, files in `directory` that would be taken for a part of
/// the weights in `written` (relative paths) but are not among them: where NAME.safetensors or its
/// shards are written, other shards NAME-*-of-*.safetensors, the other of the two, and the index.
Status RemoveOldWeights(const std::filesystem::path& directory,
                        const std::vector<std::string>& written, io::OutputTree* tree);

}  // namespace qstore::make
