// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

/// What "model.safetensors.index.json" says: which shard holds which tensor.
struct SafetensorsIndex {
  std::vector<std::pair<std::string, std::string>> weight_map;  ///< Tensor name, file name.
};

/// Whether a file of this name (without directories) is an index of safetensors shards, as
/// "model.safetensors.index.json" and "model.safetensors.index.fp16.json" are.
bool IsSafetensorsIndexName(std::string_view name);

/// What a model's weights in this file (a name without directories) are called, the same for all
/// its shards and for their index: "model" of "model.safetensors",
/// "model-00001-of-00002.safetensors" and "model.safetensors.index.json"; "model.fp16" of
/// "model.safetensors.index.fp16.json". Empty for other files.
std::string WeightSetOf(std::string_view name);

/// Reads the weight_map, in the order of the text; everything else in it is ignored.
/// kCorrupt: not JSON, or no weight_map of strings.
Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text);

/// The text of an index, as the hub's tools write it: two spaces of indentation, names sorted, a
/// line end behind it. `total_size` counts the bytes of the tensors.
std::string WriteSafetensorsIndex(SafetensorsIndex index, uint64_t total_size);

}  // namespace qstore::io
