// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/model_tree.h"
#include "qstore/status.h"

namespace qstore::container {

/// As io::ListModelFiles, but one file of a model of several stands for all of them, and all must
/// be there of each model in a directory. With `paths`, only those of the directory `path`: files
/// and folders relative to it.
/// Errors: those of io::ListModelFiles; kNotFound naming the file that is not there.
Result<std::vector<io::ModelFile>> ListModelFiles(const std::filesystem::path& path,
                                                  std::span<const std::string> paths = {});

}  // namespace qstore::container
