// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

/// A regular file of a model.
struct ModelFile {
  std::string path;              ///< Relative to the model, '/'-separated; the name for one file.
  std::filesystem::path source;  ///< Where to open it.
};

/// All files of a model directory, sub-folders included, sorted by path; or the one file `path`
/// names. Symbolic links are followed as hub caches use them. Checks that every shard an index
/// names is there. Errors: kNotFound (path, shard), kInvalidArgument (nothing to store, two
/// spellings of one file, a link cycle, sockets and devices), kIo (unreadable).
Result<std::vector<ModelFile>> ListModelFiles(const std::filesystem::path& path);

}  // namespace qstore::io
