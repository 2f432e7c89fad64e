// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "qstore/status.h"
#include "qstore_apps/synth.h"

namespace qstore::make {

/// One file of tensors and where they go in it.
struct Shard {
  std::string name;
  io::SafetensorsLayout layout;
  std::vector<uint32_t> stream;  ///< The random stream of each tensor of layout.header, by index.
};

/// Everything about an invented model but its numbers.
struct SynthLayout {
  SynthOptions options;  ///< With nothing left to choose.
  std::vector<Shard> shards;
  uint64_t tensor_bytes = 0;
  std::string config_json;
  std::string index_json;  ///< Empty when there is one file.
};

/// Checks the options, chooses what they leave open and lays out the files. A tensor's stream is
/// its place in the order embedding, layers, final norm (or first matrix to last), whatever file it
/// goes to. Errors: kInvalidArgument.
Result<SynthLayout> LayOutSynth(SynthOptions options);

}  // namespace qstore::make
