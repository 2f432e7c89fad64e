// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

/// A regular file of a model, or a directory without anything in it.
struct ModelFile {
  std::string path;              ///< Relative to the model, '/'-separated; the name for one file.
  std::filesystem::path source;  ///< Where to open it.
  bool is_directory = false;
  bool is_executable = false;  ///< Its owner may run it.
};

/// All files of a model directory, hidden ones and those of sub-folders included, and its empty
/// sub-folders, sorted by path;
/// or the one file `path` names. Symbolic links are followed as hub caches use them, so that the
/// same content may appear under several paths. Checks that every file can be read and that every
/// shard is there that a "*.safetensors.index*.json" names; such an index that cannot be understood
/// is a file like any other.
/// Errors, each naming the path: kNotFound (the model, a link's target, a shard), kInvalidArgument
/// (nothing to store, a link cycle, a pipe, socket or device), kIo (unreadable).
Result<std::vector<ModelFile>> ListModelFiles(const std::filesystem::path& path);

/// Of a model directory only what is at these paths, relative to it: files, and folders with all
/// that they hold; empty folders alone will do. Checks and errors as above; kInvalidArgument also
/// for what comes twice.
Result<std::vector<ModelFile>> ListModelFiles(const std::filesystem::path& directory,
                                              std::span<const std::string> paths);

}  // namespace qstore::io
